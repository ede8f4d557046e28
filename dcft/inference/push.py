"""An export on the Hugging Face Hub."""

from pathlib import Path

from huggingface_hub import HfApi, get_token

from dcft.errors import UserError
from dcft.inference.export import files


def push(folder: Path, repository: str) -> str:
    """Upload an export; without a login nothing is sent.

    Args:
        folder: the export.
        repository: `OWNER/NAME`; it is made if it is not there.

    Returns:
        Lines that say what was uploaded, or what would be.

    Raises:
        UserError: if the Hub refuses.
    """
    listed = "\n".join(f"  {name}  {size:,} bytes" for name, size in files(folder).items())
    if get_token() is None:
        return f"not logged in to the Hub (hf auth login); this would be uploaded to {repository}:\n{listed}"
    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload from the DCFT suite")
    except Exception as error:  # the client raises errors of many types
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{repository}: the Hub took nothing ({reason}); the export is in {folder}: hf upload {repository} {folder}"
        ) from error
    return f"uploaded to {commit.commit_url}:\n{listed}"
