"""A run's output on the terminal: a progress bar, and one line per evaluation."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback


class ProgressBar(TrainerCallback):
    """Steps, loss and time left; without a terminal only the evaluations are printed.

    Args:
        cell: name of the cell.
        metric: name of the score.
        padding: padding tokens per real token in training.
    """

    def __init__(self, cell: str, metric: str, padding: float):
        self.console = Console(highlight=False, soft_wrap=True)
        self.cell, self.metric, self.padding = cell, metric, padding

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self.bar.start()
        self.task = self.bar.add_task("loss   -  ", total=state.max_steps, completed=state.global_step)
        begun = f"resumed at step {state.global_step}" if state.global_step else f"{state.max_steps} steps"
        self.console.print(f"{self.cell}: {begun}, {self.padding:.1%} padding")

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update(self.task, completed=state.global_step)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            self.bar.update(self.task, description=f"loss {logs['loss']:7.4f}")

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        collapsed = "  (collapsed: one answer to everything)" if metrics["eval_collapsed"] else ""
        where = f"step {state.global_step:>6}  epoch {state.epoch:6.2f}"
        score = metrics["eval_score"]
        shown = "undefined" if score is None else f"{score:6.2f}"
        self.console.print(f"  {where}  {self.metric} {shown}{collapsed}")

    def close(self) -> None:
        """Remove the bar from the screen, after a failure too."""
        if hasattr(self, "bar"):
            self.bar.stop()
