"""``python -m ntkrnn`` is the command ``ntkrnn``."""

from ntkrnn.cli import main

if __name__ == "__main__":
    main()
