# One image a part: docker build --build-arg PART=operator|api|runner|cli .
# The runner's image is also the one that migrates the database: python -P -m relayrun_runner.migrate
ARG PYTHON_IMAGE=python:3.13-slim-trixie
ARG PART=runner

FROM ${PYTHON_IMAGE} AS dependencies
RUN command -v uv >/dev/null || pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/opt/relayrun \
    UV_PYTHON=/usr/local/bin/python3 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml uv.lock ./
COPY core/pyproject.toml core/
COPY operator/pyproject.toml operator/
COPY api/pyproject.toml api/
COPY runner/pyproject.toml runner/
COPY cli/pyproject.toml cli/
ARG PART
RUN case "$PART" in \
      operator) what="relayrun-operator --extra kubernetes" ;; \
      api) what="relayrun-api --extra kubernetes --extra cli" ;; \
      cli) what="relayrun-core --extra cli" ;; \
      *) what="relayrun-$PART" ;; \
    esac; echo "uv sync --frozen --no-dev --no-editable --package $what \"\$@\"" >/install
# What changes seldom first: a new line of ours does not install the dependencies again.
RUN --mount=type=cache,target=/root/.cache/uv \
    sh /install --no-install-workspace \
    # Its thousand models are imported one by one, and most never: 34 MB of bytecode for nothing.
    && cd /opt/relayrun/lib/python*/site-packages \
    && rm -rf kubernetes/client/api/__pycache__ kubernetes/client/models/__pycache__ kubernetes/aio/client/models/__pycache__

FROM dependencies AS build
ARG PART
COPY core core
COPY ${PART} ${PART}
RUN --mount=type=cache,target=/root/.cache/uv \
    sh /install \
    && mkdir /ours && cd /opt/relayrun && cp -a --parents lib/python*/site-packages/relayrun_* /ours/

FROM ${PYTHON_IMAGE} AS base
# A name for the user: libraries ask for it.
RUN echo 'relayrun:x:10001:10001::/tmp:/usr/sbin/nologin' >>/etc/passwd \
    && echo 'relayrun:x:10001:' >>/etc/group \
    && mkdir /app && chown 10001:10001 /app
ENV HOME=/tmp \
    PATH=/opt/relayrun/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
COPY LICENSE /usr/share/licenses/relayrun/
COPY --from=dependencies /opt/relayrun /opt/relayrun
COPY --from=build /ours /opt/relayrun
USER 10001:10001

# -P: a file of the agent must not shadow what the part itself imports.
FROM base AS operator
LABEL org.opencontainers.image.title="relayrun-operator" \
      org.opencontainers.image.description="Places AgentRuns on warm runner pods."
EXPOSE 8080
CMD ["python", "-P", "-m", "relayrun_operator"]

FROM base AS api
# The command line: kubectl exec deploy/relayrun-api -- relayrun keys create --owner me
COPY --chmod=755 scripts/relayrun /usr/local/bin/relayrun
COPY cli/relayrun_cli /opt/relayrun-cli/relayrun_cli
LABEL org.opencontainers.image.title="relayrun-api" \
      org.opencontainers.image.description="The HTTP API of Relayrun."
ENV RELAYRUN_HOST=0.0.0.0
EXPOSE 8000
CMD ["python", "-P", "-m", "relayrun_api"]

# What asks an API, and makes API keys in its database: docker run --rm relayrun-cli ps --url https://…
FROM base AS cli
COPY --chmod=755 scripts/relayrun /usr/local/bin/relayrun
COPY cli/relayrun_cli /opt/relayrun-cli/relayrun_cli
LABEL org.opencontainers.image.title="relayrun-cli" \
      org.opencontainers.image.description="The command line of Relayrun, for an API that runs elsewhere."
ENTRYPOINT ["relayrun"]
CMD ["--help"]

FROM base AS runner
LABEL org.opencontainers.image.title="relayrun-runner" \
      org.opencontainers.image.description="Executes LangGraph runs: the base of agents' images, and the migrations."
ENV RELAYRUN_HOST=0.0.0.0 \
    RELAYRUN_CONFIG_PATH=/app/langgraph.json
EXPOSE 8123
CMD ["python", "-P", "-m", "relayrun_runner.pod"]

FROM ${PART}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.vendor="Relayrun" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
