"""A notebook's records: its parameters, its figures with their provenance, its ledger of claims.

    book = Notebook("04_theorem5", globals())
    book.save(figure, "slug", ...)
    book.claims.record(...)

`plan` and `reproduce` run notebooks without a browser.
"""

from gncompanion.notebook.book import Notebook

__all__ = ["Notebook"]
