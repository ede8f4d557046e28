"""Libraries that print what nobody can act on."""

import warnings

import datasets
import transformers


def quieten() -> None:
    """Keep Transformers and Datasets from printing progress bars, and warnings that a record or nobody needs."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    warnings.filterwarnings("ignore", message="A single label was found")  # the record says collapsed
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # its own calls
