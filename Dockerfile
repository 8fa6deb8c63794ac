# Regulars as a job (`train`, `score`, `monitor`), as a model server (`serve`), and with the MLflow
# server that belongs to it. Nothing is compiled here; the last stage has neither pip nor a compiler.
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/regulars
ENV PATH=/opt/regulars/bin:$PATH
WORKDIR /src
# Every package with its version and hash; the layer is made again only when they change.
COPY deploy/requirements.lock ./
RUN pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY features/ features/
COPY models/ models/
COPY training/ training/
COPY serving/ serving/
COPY regulars/ regulars/
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes uv-build setuptools pip

FROM python:${PYTHON}
# LightGBM wants the OpenMP runtime. The folders belong to the user, as volumes take that over.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && pip uninstall --yes setuptools wheel pip \
    && groupadd --gid 10001 regulars \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp regulars \
    && install --directory --owner 10001 --group 10001 /shop /mlartifacts
COPY --from=build /opt/regulars /opt/regulars
# HOME: the only place that is written to besides /shop, so that the rest can be read-only.
ENV PATH=/opt/regulars/bin:$PATH \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=passive \
    OPENBLAS_NUM_THREADS=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false
USER 10001:10001
WORKDIR /shop
# A job is healthy as long as it runs; the services of compose.yaml ask their own address.
HEALTHCHECK --interval=5m --timeout=30s CMD ["regulars", "--version"]
ENTRYPOINT ["regulars"]
CMD ["--help"]
