# One image for the coordinator and the agents; docker-compose.yml says which of them a container is.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/app/.venv \
    PATH=/app/.venv/bin:$PATH

RUN pip install --no-cache-dir uv \
    && useradd --create-home --uid 10001 parley

WORKDIR /app

# What is installed changes less often than our code: a layer of its own.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --extra postgres --no-install-project --no-cache

COPY README.md LICENSE hatch_build.py ./
COPY a2a a2a
COPY models models
COPY coordinator coordinator
COPY agent_servers agent_servers
COPY examples examples
COPY docs docs
RUN uv sync --frozen --no-dev --extra postgres --no-cache \
    && mkdir var \
    && chown parley:parley var

USER parley
EXPOSE 8000 8001 8002 8010
CMD ["uvicorn", "coordinator.app:app", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "10", "--no-access-log"]
