"""Run the classifier of this bundle.

python run.py predict "A text."
python run.py predict --file texts.csv --out labels.csv
python run.py serve
"""

import sys
from pathlib import Path

NAME = "model"  # under which it is served
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run nlptl's `predict` or `serve` over the model beside this file."""
    sys.path.insert(0, str(HERE))
    from nlptl.__main__ import main as run

    if sys.argv[1:2] == ["serve"]:
        sys.argv.insert(2, f"{NAME}={HERE / 'model'}")
    elif sys.argv[1:2] == ["predict"]:
        sys.argv.insert(2, str(HERE / "model"))
    elif len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    run()


if __name__ == "__main__":
    main()
