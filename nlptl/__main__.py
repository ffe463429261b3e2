"""`nlptl` and `python -m nlptl`, and with it `torchrun -m nlptl` and `accelerate launch -m nlptl`: the command line."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C ends it in one sentence, even while it loads."""
    try:
        from nlptl.interfaces.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Nothing was done; run the same command again.\n")
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
