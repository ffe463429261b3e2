"""`python -m nlptl`, and with it `torchrun -m nlptl` and `accelerate launch -m nlptl`: the command line."""

from nlptl.interfaces.cli import main

if __name__ == "__main__":
    main()
