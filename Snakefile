# Every row of the papers' tables: train × seed, judge, and the row's notebook; restarts what failed, redoes nothing.
#
#     snakemake -j2 -n                                                        what would run
#     snakemake -j2 --config rows=notebooks/full/09_cifar10_cnn_gn-gan.yml    one row, on this machine
#     snakemake -j64 --executor slurm --default-resources slurm_partition=gpu runtime=1440 slurm_extra="'--gres=gpu:1'"
#
# rows   parameter files, separated by commas; all of 09 and 12 by default
# set    parameters for all of them but seeds, as `gncompanion train` takes them: --config set="-p steps 20"
#
# A run's folder bears a digest of its data, which need not be here yet: what is done is marked beside the runs.

import os
from pathlib import Path

import yaml

ALL = (str(file) for number in ("09", "12") for file in sorted(Path("notebooks/full").glob(f"{number}_*.yml")))
FILES = {Path(file).stem: file for file in (config["rows"].split(",") if "rows" in config else ALL)}
SET = config.get("set", "")
DATA = os.environ.get("GNCOMPANION_DATA", "data")
DONE = os.environ.get("GNCOMPANION_RUNS", f"{DATA}/runs") + "/workflow/{row}"


def twins(row):
    """The files of the trainings that a row's notebook compares its own with."""
    return sorted(Path("notebooks/full").glob(f"{row}_twin-*.yml"))


for file in [twin for row in list(FILES) for twin in twins(row)]:  # a row brings its twins
    FILES.setdefault(file.stem, str(file))
SEEDS = {row: yaml.safe_load(Path(file).read_text())["seeds"] for row, file in FILES.items()}


def judged(row):
    """The marks of a row's judged seeds, and of its twins'."""
    rows = [row, *(twin.stem for twin in twins(row))]
    return [mark for one in rows for mark in expand(DONE + "/seed-{seed}.judged", row=one, seed=SEEDS[one])]


def book(row):
    """The notebook that a row's file belongs to: the one with its number, or else 09."""
    return str(next(Path("notebooks").glob(f"{row[:2]}_*.ipynb"), "notebooks/09_image_generation.ipynb"))


rule all:
    input:
        expand(DONE + "/notebook.done", row=[row for row in FILES if "_twin-" not in row]),
        [mark for row in FILES if "_twin-" in row for mark in judged(row)],


rule train:
    input:
        lambda wildcards: FILES[wildcards.row],
    output:
        touch(DONE + "/seed-{seed}.trained"),
    params:
        set=SET,
    retries: 3  # a training that was killed goes on from its last checkpoint
    shell:
        "gncompanion train -f {input} --seed {wildcards.seed} {params.set}"


rule judge:
    input:
        row=lambda wildcards: FILES[wildcards.row],
        trained=DONE + "/seed-{seed}.trained",
    output:
        touch(DONE + "/seed-{seed}.judged"),
    params:
        set=SET,
    shell:
        "gncompanion evaluate -f {input.row} --seed {wildcards.seed} {params.set}"


rule notebook:
    input:
        lambda wildcards: book(wildcards.row),
        lambda wildcards: judged(wildcards.row),
        row=lambda wildcards: FILES[wildcards.row],
    output:
        touch(DONE + "/notebook.done"),
    params:
        set=SET,
    retries: 3
    log:
        notebook="build/workflow/{row}.ipynb",  # kept when it fails
    shell:
        "papermill {input[0]} {log.notebook} -f {input.row} {params.set}"
