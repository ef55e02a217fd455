"""What results can show of themselves in a notebook: one line, a table, a frame, a figure, sentences."""

from __future__ import annotations

from typing import Any


class Shown:
    """A result with a face; how it is drawn is the reports' business, and they are imported when it is asked for."""

    def _repr_html_(self) -> str:
        from focalkit.report import notebook

        return notebook.html(self)

    def sentences(self, language: str = "en") -> list[str]:
        """What is found, in words.

        Parameters
        ----------
        language : {"en", "zh-CN"}
            Of the sentences.

        Returns
        -------
        list of str
            One finding each.
        """
        from focalkit.report import notebook

        return notebook.sentences(self, language)

    def to_frame(self, library: str | None = None) -> Any:
        """Return the figures as a data frame.

        Parameters
        ----------
        library : {"pandas", "polars"}, optional
            Default: pandas where it is installed, otherwise polars.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            One row per class, cell or family.

        Raises
        ------
        ModuleNotFoundError
            Where neither is installed.
        """
        from focalkit.report import notebook

        return notebook.to_frame(self, library)

    def plot(self, *args: Any, **options: Any) -> Any:
        """Draw it; needs matplotlib.

        Returns
        -------
        matplotlib.figure.Figure
            Not shown and not saved.
        """
        from focalkit.report import notebook

        return notebook.plot(self, *args, **options)
