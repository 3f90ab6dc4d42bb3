"""What a process is started with that loads a bundle: set once, before its libraries are there."""

from types import MappingProxyType
from typing import Final

ENVIRONMENT: Final = MappingProxyType(  # unless the user says otherwise
    {
        # Big pages for the index: 12-30 % less CPU a query (glibc 2.35 and later).
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        # A worker is one thread; pools of linear algebra would fight over the cores.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # onnxruntime 1.32 would note the machine in the home folder, and complain where it cannot.
        "ORT_DISABLE_TELEMETRY": "1",
    }
)
