# freqquest with all that it needs, for CPUs and for NVIDIA GPUs:
#   docker build --tag freqquest .
# For CPUs alone, without the 4 GB of CUDA:
#   docker build --tag freqquest --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
# docs/deployment.md tells how to run it.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

# KubeRay's probes call wget.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 ray \
    && mkdir /work \
    && chmod 1777 /home/ray /work

# The largest packages have layers of their own, which change only with their versions.
COPY requirements.txt /tmp/
ARG TORCH_INDEX=https://pypi.org/simple
RUN grep -E '^torch(audio)?==' /tmp/requirements.txt \
    | pip install --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple \
      --requirement /dev/stdin
RUN grep -E '^(tensorflow|keras)==' /tmp/requirements.txt | pip install --requirement /dev/stdin
RUN grep -v '^-e ' /tmp/requirements.txt | pip install --requirement /dev/stdin

COPY THIRD_PARTY_NOTICES.md /usr/share/doc/freqquest/
COPY pyproject.toml README.md LICENSE /tmp/freqquest/
COPY freqquest /tmp/freqquest/freqquest
RUN pip install --no-deps /tmp/freqquest && rm -r /tmp/freqquest

# Any user may run it, also one without an account: `docker run --user "$(id -u)"`.
ENV HOME=/home/ray USER=ray PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0
USER 1000
WORKDIR /work
EXPOSE 8000
ENTRYPOINT ["freqquest"]
CMD ["--help"]
