"""How the commands of the pages are carried out: what stands for a reader's own files, what is made shorter, what is not run."""

from __future__ import annotations

NOT_RUN = {
    # commands, by how they begin; ```LANGUAGE is a block; a page before it limits both to that page
    "make ": "installs .venv, and runs the targets that the tests are; each target is looked for in the Makefile",
    "pip install": "needs a package index; each extra is looked for in pyproject.toml",
    "python3 -m venv": "an environment of its own, for the next line",
    "venv/bin/pip": "needs a package index; test_bundled_files.py checks the requirements",
    "docker ": "needs a Docker daemon",
    "systemd-analyze": "needs systemd",
    "ray start": "a cluster of several machines",
    "torchrun ": "several processes, of which tests/training/test_distributed.py starts two",
    "accelerate launch": "several processes, as torchrun",
    "nlptl encode runs/quickstart --file s3://": "an object store and a cluster",
    "nlptl predict runs/quickstart --file s3://": "an object store and a cluster",
    "nlptl predict runs/quickstart --file tickets.csv --out labels.csv --engine ray": "a cluster, which tests marked so start",
    "nlptl predict runs/NAME --file pile/ --out labels/ --engine ray": "a cluster, which tests marked so start",
    "nlptl encode runs/quickstart --file pile --keep --out vectors --engine ray": "a cluster, which tests marked so start",
    "python benchmarks/": "takes minutes to hours and data sets that are not here; each script is looked for",
    "python docs/": "writes a page of the checkout; test_generated.py asks whether it is current",
    "python -m nlptl": "names the command itself",
    "openssl rand": "makes a key and needs nothing of nlptl",
    "chmod 600": "names no file",
    "```nginx": "settings of another program",
    "docs/architecture.md ```": "test_architecture.py carries out its two worked examples",
    "docs/architecture.md pytest": "test_architecture.py runs these rows of the conformance test",
}
"""Everything that no test carries out here, and why."""

STANDS_FOR = {
    # other files and folders of a reader than those that are furnished
    "nlptl bundle RUN": "nlptl bundle runs/tweets-head --out bundles/run",
    "nlptl vectors export runs/NAME": "nlptl vectors export runs/words",
    "runs/NAME": "runs/words",
    "nlptl start FILE": "nlptl start data/tweets/train.csv --minutes 0.2",
    "nlptl check FILE": "nlptl check pipelines/my-pipeline.yaml",
    "nlptl run FILE": "nlptl run pipelines/my-pipeline.yaml",
    "nlptl curve tickets.yaml": "nlptl curve pipelines/tweets-skipgram.yaml --minutes 0.2",
    "nlptl compare first.yaml": "nlptl compare pipelines/tweets-skipgram.yaml",
    "--slice Region": "--slice label",
    "nlptl export runs/tickets": "nlptl export runs/tweets-head",
    "venv/bin/python ": "python ",
    # less of it
    "nlptl start tickets.csv": "nlptl start tickets.csv --minutes 0.1",
    "nlptl start tickets.xlsx": "nlptl start tickets.xlsx --minutes 0.1",
    "--regimes scratch,frozen --minutes 2": "--regimes scratch,frozen --seeds 1 --minutes 60",
    "--regimes frozen,lora,full --minutes 2": "--regimes frozen,words --seeds 1 --minutes 60",
    "--minutes 3": "--minutes 0.2",
    "data/reviews_ja/held_out.csv --minutes 2": "data/reviews_ja/train.csv --minutes 0.1 --out runs/held_out",
    "--minutes 5": "--minutes 0.1",
    "second.yaml --minutes 30": "pipelines/tweets-head.yaml --seeds 1 --minutes 60",
    "nlptl curve tickets.yaml --minutes 30": "nlptl curve pipelines/tweets-skipgram.yaml --minutes 0.2",
    "tweets-bert-lora.yaml --regimes frozen,lora": "tweets-head.yaml --regimes frozen,words --seeds 1 --minutes 60",
    "--workers 16": "--workers 2",
    "nlptl serve runs/tickets mails=runs/mails --workers 2 --port 8080": "nlptl serve runs/tickets mails=runs/mails --port 0",
    "{method: full, epochs: 3, batch_size: 8}": "{method: full, epochs: 1, batch_size: 24}",
    "epochs: 3}": "epochs: 1}",
    "update={method: contrastive}": "update={method: contrastive, steps: 2}",
    "nlptl run pipelines/tweets-fewshot.yaml --set compare=null": "nlptl run pipelines/tweets-fewshot.yaml --set compare=null",
    "nlptl run pipelines/quickstart.yaml": "nlptl run pipelines/quickstart.yaml --set compare=null "
    "--set 'stages.2.update={method: head}'",
    "--set compare.seeds=20": "",
    "nlptl run pipelines/adapt-domain.yaml": "nlptl run pipelines/adapt-domain.yaml --set compare=null",
    "nlptl run pipelines/reviews-skipgram.yaml": "nlptl run pipelines/reviews-skipgram.yaml --set compare=null",
    "nlptl run pipelines/tweets-fewshot.yaml": "nlptl run pipelines/tweets-fewshot.yaml --set compare=null",
    "nlptl run pipelines/tweets-bert-continue.yaml": "nlptl run pipelines/tweets-bert-continue.yaml "
    "--set 'stages.0.continue={objective: mlm, steps: 2, head_warmup_steps: 2}' --set 'stages.2.update={method: head}'",
    # a free port
    "nlptl serve ": "nlptl serve --port 0 ",
    "run.py serve": "run.py serve --port 0",
}
"""What is typed instead of the words of a page, the longest first; the rest of the command stays."""

QUICK_RUN = "nlptl run pipelines/tweets-skipgram.yaml --set stages.0.dim=16 --set stages.0.epochs=20"
"""What makes a run of which a page only tells the name."""

RUNS = {"runs/tweets-head": "nlptl run pipelines/tweets-head.yaml"}
"""Named runs that cannot be those of QUICK_RUN, and what makes them."""

EXIT_CODES = {"nlptl monitor": (0, 3), "nlptl rollback runs/tweets-head": (2,)}
"""Exit codes of a command, or of all that begin with its two words. Monitor tells an alarm by 3; no older version is there to go
back to."""


def why_not_run(page: str, name: str) -> str | None:
    """Return the entry of the list for a command, or a block's language behind ```; None where it is carried out."""
    found = [key for key in NOT_RUN if name.startswith(key) or f"{page} {name}".startswith(key)]
    return max(found, key=len) if found else None


def as_typed(command: str) -> str:
    """Return the command with what stands for a reader's own files."""
    replaced: list[str] = []
    for old in sorted(STANDS_FOR, key=len, reverse=True):
        if old in command:
            command = command.replace(old, f"\0{len(replaced)}\0")
            replaced.append(STANDS_FOR[old])
    for place, new in enumerate(replaced):
        command = command.replace(f"\0{place}\0", new)
    return command
