"""What must be in the environment before torch and DeepSpeed are imported."""

import os
import shutil


def prepare_environment() -> None:
    """Makes DeepSpeed and accelerate use the CPU where there is no GPU; does nothing else.

    Without it DeepSpeed asks for a CUDA toolkit, and accelerate on a machine without a GPU falls back to a
    mode that drops DeepSpeed altogether.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # ranks fork data workers; the store is already tokenised
    if shutil.which("nvidia-smi") is None and not os.environ.get("CUDA_VISIBLE_DEVICES"):
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        os.environ.setdefault("ACCELERATE_TORCH_DEVICE", "cpu")
