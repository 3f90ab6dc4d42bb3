"""onnxruntime sessions, opened the same way everywhere."""

from pathlib import Path

import onnxruntime as ort

from export.contract.errors import BundleError


def open_session(model: bytes | Path) -> ort.InferenceSession:
    """Open a model with one thread, no spinning and no growing arena.

    Concurrency comes from processes and batches; default thread pools would fight over the
    cores, and spin while idle.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    source = str(model) if isinstance(model, Path) else model
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def open_member(path: Path) -> ort.InferenceSession:
    """Open a model of a bundle or run as `open_session` does.

    Raises:
        BundleError: It cannot be opened, or what it takes and gives has names that are no text.

    """
    try:
        session = open_session(path)
        for one in (*session.get_inputs(), *session.get_outputs()):
            _ = one.name, one.shape  # decoded when they are asked for
    except Exception as error:  # onnxruntime raises a dozen unrelated classes here
        raise BundleError(f"{path}: {error}") from error
    return session
