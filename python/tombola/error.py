"""The one exception: what went wrong and the cure, in the words of the program."""


class TombolaError(Exception):
    """`code` is the exit code: 2 for wrong input, 3 where the machine lacks something."""

    def __init__(self, message, code=3):
        super().__init__(message)
        self.code = code
