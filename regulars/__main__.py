"""Run `regulars` or `python -m regulars`."""

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0 done, 2 the input is wrong, 1 a defect of ours."""
    # Before LightGBM loads: OpenMP threads that spin while they wait cost a factor of 200
    # on a busy machine. The others keep MLflow quiet and at home.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Our matrices are small and our threads many: BLAS with threads of its own slows them down.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from .cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
