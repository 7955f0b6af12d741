# The services and the command line, without root and without a shell of its own. Built by compose.yaml.
FROM python:3.11-slim AS build
COPY . /src
RUN pip install --no-cache-dir --prefix /install '/src[actuator,cli,processor]'

FROM python:3.11-slim
COPY --from=build /install /usr/local
RUN useradd --create-home --uid 10001 holdfast
USER 10001
WORKDIR /home/holdfast
ENTRYPOINT ["holdfast"]
