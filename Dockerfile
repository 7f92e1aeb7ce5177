# Two stages, so that the image holds neither the sources nor what building left behind.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE plugins.toml.example ./
COPY core core
COPY plugins plugins
COPY migrations migrations
COPY contrib/plugin-template contrib/plugin-template
ARG EXTRAS=postgres
RUN pip wheel --no-cache-dir --wheel-dir /wheels ".[$EXTRAS]"

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home switchgear
ARG EXTRAS=postgres
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels "switchgear[$EXTRAS]"
USER switchgear
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/ready', timeout=2)"]
# Beyond loopback an ADMIN_KEY is required: docker run -e ADMIN_KEY=… -p 8080:8080 -v switchgear:/data IMAGE
ENTRYPOINT ["switchgear"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080", "--data-dir", "/data"]
