"""Hours of bad luck in minutes: kills, signals, full disks and read-only folders. Run by hand, not by pytest.

    python -m tests.soak                      all of it, from the checkout's root
    python -m tests.soak train gathering      some kinds

Prints a table: how often each kind was tried, and how often something was lost (a step that was saved, or
should have been), hung, damaged (a checkpoint, figures of two runs, a resumed run that ends elsewhere than an
undisturbed one), orphaned (a process left behind) or left (a temporary file that the next start does not
remove). All but the tries must be 0; what went wrong is told on standard error.
"""
