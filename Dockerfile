# The project with its environment; what runs write goes to /work, data and weights are mounted there.
#   CPU:  docker build -t medsam-exp .
#   CUDA: docker build -t medsam-exp:cuda --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 --build-arg TORCH_BACKEND=cu128 .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/work" medsam-exp run +experiment=demo    (CUDA: --gpus all)
ARG BASE=ubuntu:24.04
# hadolint ignore=DL3006
FROM ${BASE}

# A build of torch: cpu, cu126, cu128, ...; the driver of the machine must know that CUDA.
ARG TORCH_BACKEND=cpu

SHELL ["/bin/bash", "-eu", "-o", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/medsam_exp
COPY Makefile pyproject.toml setup.py requirements.lock README.md LICENSE NOTICE run.py ./
COPY conf conf
COPY hydra_plugins hydra_plugins
COPY medsam_exp medsam_exp
RUN UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1 make setup TORCH_BACKEND=${TORCH_BACKEND}

ENV PATH=/opt/medsam_exp/.venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /work
ENTRYPOINT ["medsam-exp"]
CMD ["--help"]
