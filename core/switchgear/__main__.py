"""`python -m switchgear` is `switchgear`."""

from switchgear.cli import main

main()
