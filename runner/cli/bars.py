"""Progress bars on a terminal; needs the extra `tty`."""

from __future__ import annotations

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from runner.runners.base import PullProgress


class Bars:
    """A bar for every image that is being pulled, below the log."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("pulling {task.description}"),
            BarColumn(),
            DownloadColumn(),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def show(self, progress: PullProgress) -> None:
        """Move the image's bar."""
        task = self._tasks.get(progress.image)
        if task is None:
            task = self._tasks[progress.image] = self._progress.add_task(progress.image, total=None)
        self._progress.update(task, completed=progress.current, total=progress.total or None)

    def stop(self) -> None:
        """Take the bars away."""
        self._progress.stop()
