"""Where the kit runs: what it carries unpacked, the libraries of a Python's torch, the data, and the environment of all commands.

Nothing of the machine is assumed but a Python that has torch. The wheel is unpacked, not installed by pip: pip need not be there,
and the machine's Python stays as it is. All that is made lies in one temporary folder, which is gone afterwards.
"""

import base64
import csv
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

FOLDER = pathlib.Path(__file__).resolve().parent

# Asked of a Python with the wheel on its path: the wheel itself knows where torch is, and which torch it needs.
WHERE = """
import sys
from tombola import libtorch
from tombola.error import TombolaError
try:
    folder = libtorch.find()
except TombolaError as error:
    sys.exit(f"error: {error}")
print(sys.executable, libtorch.version_of(folder), folder, *libtorch.library_folders(folder), sep="\\n")
"""


class Place:
    """A kit that is ready to run on a device."""

    def __init__(self, python, device):
        self.folder, self.device = FOLDER, device
        # Without a GPU all that can be seen is whether everything starts: little data and few numbers will do.
        self.small = device == "cpu"
        self.facts = json.loads((FOLDER / "kit.json").read_text(encoding="utf-8"))
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="tombola-kit-"))
        try:
            self._unpack()
            self._find_torch(python or sys.executable)
        except BaseException:
            self.leave()
            raise
        # The command `tombola` of the wheel.
        self.tombola = [self.python, "-m", "tombola"]

    def program(self, name):
        """A test program."""
        return self.work / "kit/programs" / name

    def on_gpu(self):
        """Whether the device is a GPU."""
        return self.device != "cpu"

    def tool(self, name):
        """The path of a program of the machine, or None."""
        return shutil.which(name, path=self.environment["PATH"])

    def leave(self):
        """Removes what was made."""
        shutil.rmtree(self.work, ignore_errors=True)

    def _unpack(self):
        with tarfile.open(FOLDER / "programs.tar.xz") as archive:
            archive.extractall(self.work / "kit", filter="data")
        self.site = self.work / "site"
        unpack_wheel(self.work / "kit" / self.facts["wheel"], self.site)
        (self.work / "tmp").mkdir()
        # A user's own settings of Tombola would make runs of two machines differ.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TOMBOLA_")}
        self.environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            **kept,
            "HOME": str(self.work),
            "TMPDIR": str(self.work / "tmp"),
            # What is there already may be how this Python finds its torch.
            "PYTHONPATH": joined([self.site], os.environ.get("PYTHONPATH")),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "TOMBOLA_DATA": str(FOLDER),
            "TOMBOLA_TEST_DEVICE": self.device,
            "TOMBOLA_TEST_FILES": str(self.work / "kit/reference"),
        }

    def _find_torch(self, python):
        try:
            words = [python, "-c", WHERE]
            asked = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            sys.exit(f"error: cannot ask `{python}` where its torch is: {error}")
        if asked.returncode != 0:
            sys.exit(f"{asked.stderr.strip()}\n\nhint: a Python that has torch {self.facts['torch']} is named by --python PATH")
        self.python, self.torch_version, self.torch, *self.libraries = asked.stdout.splitlines()

    def with_libraries(self):
        """Variables for programs that are linked with libtorch. The command of the wheel finds it by itself."""
        return {"LD_LIBRARY_PATH": joined(self.libraries, os.environ.get("LD_LIBRARY_PATH"))}


def joined(folders, inherited):
    """Folders for a variable like PATH, before what it has already."""
    return ":".join([*map(str, folders), *([inherited] if inherited else [])])


def unpack_wheel(wheel, folder):
    """Installs a wheel into a folder as `pip install --target` does; each file must be what the wheel says that it is."""
    with zipfile.ZipFile(wheel) as archive:
        (listed,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        for name, checksum, _ in csv.reader(io.StringIO(archive.read(listed).decode())):
            data = archive.read(name)
            found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            if checksum and checksum != f"sha256={found}":
                sys.exit(f"error: `{name}` in `{wheel.name}` is not what the wheel lists: copy the kit again")
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(archive.getinfo(name).external_attr >> 16 & 0o777 or 0o644)
