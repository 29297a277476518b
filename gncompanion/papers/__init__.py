"""The papers' tables: a row's parameter file, how its runs are judged, and the table of all.

notebooks/full/NN_*.yml ──rows──> Row ──selection──> Experiment.run() ──> Run
                                  Run ──scoring──> scores.json ──tables──> Entry
"""
