"""`python -m tombola` is the command `tombola`."""

from .command import main

main()
