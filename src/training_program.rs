//! Which program `tombola` becomes in order to train, and where that program finds its MPI.
//!
//! A build from source makes one such program, `tombola-torch`, with the MPI of that machine or with none. The wheel carries
//! three, because it does not know its machine: `tombola-torch` without MPI, and one for each binary interface (ABI) that MPI
//! libraries have. A process that is started alone needs no MPI; one rank of many needs the MPI of its launcher. It may not know
//! of command lines, MPI or libtorch.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use libloading::os::unix::Library;

use tombola_cluster::link::launcher::{self, Starter};
use tombola_words::error::{Error, Result};

/// The program that trains alone, and the only one that a build from source makes.
const PLAIN: &str = "tombola-torch";
/// The folder beside the programs that gives Debian's MPICH the name that all its relatives have.
const NAMES: &str = "mpich-names";
/// The variable that tells the loader where else libraries lie.
pub const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// A binary interface of MPI. A program that is compiled for one cannot use a library with the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abi {
    /// That of Open MPI, releases 4 and 5.
    OpenMpi,
    /// That of MPICH, Intel MPI, MVAPICH and Cray MPICH.
    Mpich,
}

impl Abi {
    const ALL: [Self; 2] = [Self::OpenMpi, Self::Mpich];

    /// The program that is compiled for it.
    fn program(self) -> &'static str {
        match self {
            Self::OpenMpi => "tombola-torch-openmpi",
            Self::Mpich => "tombola-torch-mpich",
        }
    }

    /// The names that its library has. The first is the one that the program asks the loader for.
    fn libraries(self) -> &'static [&'static str] {
        match self {
            Self::OpenMpi => &["libmpi.so.40"],
            Self::Mpich => &["libmpi.so.12", "libmpich.so.12"],
        }
    }

    /// Who has it, in words.
    fn owner(self) -> &'static str {
        match self {
            Self::OpenMpi => "Open MPI 4 or 5",
            Self::Mpich => "MPICH or a relative of it",
        }
    }
}

/// A library of MPI that can be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MpiLibrary {
    /// Its name.
    library: &'static str,
    /// The folder that the loader must be told of, where it does not look there by itself.
    folder: Option<PathBuf>,
}

/// What the decision follows from.
struct Surroundings<'a> {
    /// Who started this process as one rank of many; nothing if it is alone.
    starter: Option<Starter>,
    /// Whether a variable is set.
    variable: &'a dyn Fn(&str) -> bool,
    /// Whether a program of this name lies beside this one.
    beside: &'a dyn Fn(&str) -> bool,
    /// The library with this interface, if one can be loaded.
    library: &'a dyn Fn(Abi) -> Option<MpiLibrary>,
}

/// What to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingProgram {
    /// The program.
    pub program: PathBuf,
    /// Folders that the loader must search before those of the system.
    pub folders: Vec<PathBuf>,
}

impl TrainingProgram {
    /// The one for this process. `own` is the path of this program.
    ///
    /// # Errors
    /// When this process is a rank, and the program for its MPI or the library of that MPI is missing.
    pub fn find(own: &Path) -> Result<Self> {
        let facts = Surroundings {
            starter: launcher::launch().filter(|launch| launch.size > 1).and_then(|_| launcher::starter()),
            variable: &|name| std::env::var_os(name).is_some(),
            beside: &|name| own.with_file_name(name).is_file(),
            library: &find_library,
        };
        let (name, found) = choose(&facts)?;
        let mut folders = Vec::new();
        if let Some((abi, found)) = found {
            if found.library != abi.libraries()[0] {
                folders.push(own.with_file_name(NAMES));
            }
            folders.extend(found.folder);
        }
        Ok(Self { program: own.with_file_name(name), folders })
    }

    /// The value of [`LIBRARY_PATH`] for the program, if it needs another than `before`.
    ///
    /// # Errors
    /// When the name of a folder has a colon in it.
    pub fn library_path(&self, before: Option<OsString>) -> Result<Option<OsString>> {
        if self.folders.is_empty() {
            return Ok(None);
        }
        // Last, because the folder of an MPI may hold other libraries, which must not come before libtorch's.
        let before = before.filter(|before| !before.is_empty());
        let all = before.iter().flat_map(std::env::split_paths).chain(self.folders.iter().cloned());
        let joined = std::env::join_paths(all)
            .map_err(|error| Error::environment(format!("cannot tell the loader where MPI lies: {error}")))?;
        Ok(Some(joined))
    }
}

/// The name of the program, and the MPI that it needs.
fn choose(facts: &Surroundings) -> Result<(&'static str, Option<(Abi, MpiLibrary)>)> {
    let Some(starter) = facts.starter else { return Ok((PLAIN, None)) };
    // A build from source has one program. Whether that knows of MPI, and of the right one, it says itself.
    if !Abi::ALL.iter().any(|abi| (facts.beside)(abi.program())) {
        return Ok((PLAIN, None));
    }
    let (abi, found) = match starter {
        Starter::OpenMpi => (Abi::OpenMpi, (facts.library)(Abi::OpenMpi)),
        Starter::Hydra => (Abi::Mpich, (facts.library)(Abi::Mpich)),
        Starter::Srun | Starter::Other => told_by_libraries(facts)?,
    };
    let Some(found) = found else { return Err(no_library(starter, &[abi], facts)) };
    match (facts.beside)(abi.program()) {
        true => Ok((abi.program(), Some((abi, found)))),
        false => Err(Error::environment(format!(
            "this is one rank of many on {}, and `{}` does not lie beside `tombola`",
            abi.owner(),
            abi.program()
        ))
        .hint("install the whole wheel again, or build from source with this MPI")),
    }
}

/// The MPI where the launcher belongs to none: the only one whose library can be loaded, or the one whose protocol it speaks.
fn told_by_libraries(facts: &Surroundings) -> Result<(Abi, Option<MpiLibrary>)> {
    let there: Vec<(Abi, MpiLibrary)> =
        Abi::ALL.into_iter().filter_map(|abi| Some((abi, (facts.library)(abi)?))).collect();
    let starter = facts.starter.unwrap_or(Starter::Other);
    let spoken = match ((facts.variable)("PMIX_NAMESPACE"), (facts.variable)("PMI_RANK")) {
        (true, false) => Some(Abi::OpenMpi),
        (false, true) => Some(Abi::Mpich),
        _ => None,
    };
    if there.is_empty() {
        return Err(no_library(starter, &Abi::ALL, facts));
    }
    let only = there.len() == 1;
    match there.into_iter().find(|(abi, _)| only || spoken == Some(*abi)) {
        Some((abi, found)) => Ok((abi, Some(found))),
        None => Err(Error::environment(format!(
            "{} started this rank and does not say for which MPI; found the libraries of Open MPI and of MPICH",
            name_of(starter)
        ))
        .hint(
            "start it by the `mpirun` of one of them, also inside a job, or say `srun --mpi=pmix` for Open MPI, `srun --mpi=pmi2` for MPICH",
        )),
    }
}

/// The launcher in words.
fn name_of(starter: Starter) -> &'static str {
    match starter {
        Starter::OpenMpi => "`mpirun` of Open MPI",
        Starter::Hydra => "`mpiexec` of MPICH or a relative of it",
        Starter::Srun => "`srun`",
        Starter::Other => "a launcher that sets the variables of PMI",
    }
}

/// No library with the interface that is needed can be loaded.
fn no_library(starter: Starter, needed: &[Abi], facts: &Surroundings) -> Error {
    let names = |abi: &Abi| abi.libraries().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let wanted: Vec<String> = needed.iter().map(|abi| format!("{} of {}", names(abi), abi.owner())).collect();
    let other = Abi::ALL.into_iter().filter(|abi| !needed.contains(abi)).find_map(|abi| (facts.library)(abi));
    let found = match other {
        Some(other) => format!("found only `{}`, which is of another MPI", other.library),
        None => "found no library of MPI".to_string(),
    };
    Error::environment(format!(
        "{} started this process as one rank of many: {found}, expected {}",
        name_of(starter),
        wanted.join(", or ")
    ))
    .hint(
        "load the module of the MPI whose `mpirun` this is, or install that MPI (Debian: openmpi-bin, or mpich), or set LD_LIBRARY_PATH to the folder of its library; without a launcher `tombola` needs no MPI and uses all of one machine",
    )
}

/// The library with this interface: in the package of the launcher that started this process, else where the loader looks.
fn find_library(abi: Abi) -> Option<MpiLibrary> {
    let folders = launcher_packages().into_iter().flat_map(|package| ["lib", "lib64"].map(|name| package.join(name)));
    let beside = |folder: PathBuf| {
        let library = abi.libraries().iter().find(|library| loads(&folder.join(library)))?;
        Some(MpiLibrary { library, folder: Some(folder) })
    };
    let named = || {
        let library = abi.libraries().iter().find(|library| loads(Path::new(library)))?;
        Some(MpiLibrary { library, folder: None })
    };
    folders.into_iter().find_map(beside).or_else(named)
}

/// The folder that the launcher was installed into, if it is one of its own, as in an environment of conda or pip; where no
/// launcher is among the processes that this one descends from (`srun`), those of the launchers on PATH.
fn launcher_packages() -> Vec<PathBuf> {
    let programs = match launcher::process() {
        Some((_, launcher)) => vec![launcher],
        None => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let places =
                std::env::split_paths(&path).flat_map(|folder| ["mpirun", "mpiexec"].map(|name| folder.join(name)));
            places.filter_map(|place| place.canonicalize().ok()).collect()
        }
    };
    let packages = programs.iter().filter_map(|program| program.ancestors().nth(2));
    // The loader looks into the system's folders by itself, and those must not come before libtorch's.
    packages.filter(|package| ![Path::new("/"), Path::new("/usr")].contains(package)).map(Path::to_path_buf).collect()
}

/// Whether a library can be loaded, with all that it needs.
fn loads(library: &Path) -> bool {
    // SAFETY: what libraries of MPI do when they are loaded is to set their own variables; nothing of them is called here.
    unsafe { Library::new(library) }.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine: how the process was started, variables, programs beside it, libraries.
    struct Machine {
        starter: Option<Starter>,
        variables: &'static [&'static str],
        beside: &'static [&'static str],
        libraries: &'static [&'static str],
    }

    const WHEEL: &[&str] = &["tombola-torch", "tombola-torch-openmpi", "tombola-torch-mpich"];
    const BOTH: &[&str] = &["libmpi.so.40", "libmpi.so.12"];

    fn started(starter: Starter) -> Machine {
        Machine { starter: Some(starter), variables: &[], beside: WHEEL, libraries: &[] }
    }

    impl Machine {
        fn with(self, libraries: &'static [&'static str]) -> Self {
            Self { libraries, ..self }
        }

        fn saying(self, variables: &'static [&'static str]) -> Self {
            Self { variables, ..self }
        }

        fn chosen(&self) -> Result<(&'static str, Option<&'static str>)> {
            let library = |abi: Abi| {
                let library = abi.libraries().iter().find(|name| self.libraries.contains(name))?;
                Some(MpiLibrary { library, folder: None })
            };
            let facts = Surroundings {
                starter: self.starter,
                variable: &|name| self.variables.contains(&name),
                beside: &|name| self.beside.contains(&name),
                library: &library,
            };
            choose(&facts).map(|(program, found)| (program, found.map(|(_, found)| found.library)))
        }

        #[track_caller]
        fn refused(&self, found: &str, expected: &str, cure: &str) {
            let error = self.chosen().unwrap_err();
            assert_eq!(error.kind.exit_code(), 3);
            for text in [found, expected] {
                assert!(error.message.contains(text), "{text}: {error}");
            }
            assert!(error.hint.as_deref().unwrap_or_default().contains(cure), "{error}");
        }
    }

    #[test]
    fn a_process_alone_needs_no_mpi() {
        let alone = Machine { starter: None, ..started(Starter::Other) };
        assert_eq!(alone.with(BOTH).chosen().unwrap(), ("tombola-torch", None));
    }

    #[test]
    fn a_build_from_source_has_one_program_for_ranks_too() {
        let built = Machine { beside: &["tombola-torch"], ..started(Starter::Hydra) };
        assert_eq!(built.chosen().unwrap(), ("tombola-torch", None));
    }

    #[test]
    fn a_rank_gets_the_program_with_the_interface_of_its_launcher() {
        let open_mpi = ("tombola-torch-openmpi", Some("libmpi.so.40"));
        assert_eq!(started(Starter::OpenMpi).with(BOTH).chosen().unwrap(), open_mpi);
        let mpich = ("tombola-torch-mpich", Some("libmpi.so.12"));
        assert_eq!(started(Starter::Hydra).with(BOTH).chosen().unwrap(), mpich);
        let debian = started(Starter::Hydra).with(&["libmpich.so.12"]);
        assert_eq!(debian.chosen().unwrap(), ("tombola-torch-mpich", Some("libmpich.so.12")));
    }

    #[test]
    fn under_srun_the_libraries_decide_and_then_its_protocol() {
        let program = |machine: Machine| machine.chosen().unwrap().0;
        assert_eq!(program(started(Starter::Srun).with(&["libmpi.so.40"])), "tombola-torch-openmpi");
        assert_eq!(program(started(Starter::Other).with(&["libmpi.so.12"])), "tombola-torch-mpich");
        let both = || started(Starter::Srun).with(BOTH);
        assert_eq!(program(both().saying(&["PMIX_NAMESPACE"])), "tombola-torch-openmpi");
        assert_eq!(program(both().saying(&["PMI_RANK"])), "tombola-torch-mpich");
        both().refused("does not say for which MPI", "Open MPI and of MPICH", "--mpi=pmix");
        started(Starter::Srun).refused("`srun`", "`libmpi.so.40` of Open MPI", "load the module");
    }

    #[test]
    fn a_library_of_another_mpi_is_not_taken() {
        let other = started(Starter::OpenMpi).with(&["libmpich.so.12"]);
        other.refused("found only `libmpich.so.12`", "expected `libmpi.so.40` of Open MPI", "load the module");
        started(Starter::Hydra).refused("found no library", "`libmpi.so.12` or `libmpich.so.12`", "mpich");
        let part = Machine { beside: &["tombola-torch", "tombola-torch-mpich"], ..started(Starter::OpenMpi) };
        part.with(BOTH).refused("`tombola-torch-openmpi` does not lie beside", "Open MPI", "install the whole wheel");
    }

    #[test]
    fn folders_of_mpi_come_after_those_of_libtorch() {
        let folders = ["/a", "/b"].map(PathBuf::from).to_vec();
        let trainer = TrainingProgram { program: PathBuf::from("/x"), folders };
        let path = |before: Option<&str>| trainer.library_path(before.map(OsString::from)).unwrap().unwrap();
        assert_eq!(path(None), "/a:/b");
        assert_eq!(path(Some("/torch/lib:/c")), "/torch/lib:/c:/a:/b");
        let plain = TrainingProgram { folders: Vec::new(), ..trainer.clone() };
        assert_eq!(plain.library_path(Some("/c".into())).unwrap(), None);
    }

    #[test]
    fn libraries_are_found_or_not() {
        assert!(loads(Path::new("libc.so.6")) && !loads(Path::new("libnothing.so.1")));
        assert!(launcher_packages().iter().all(|package| package.parent().is_some()));
    }
}
