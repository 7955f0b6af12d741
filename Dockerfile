# The services and the command line, without root and without a shell of its own. Built by compose.yaml.
FROM python:3.11-slim
COPY . /src
RUN pip install --no-cache-dir '/src[actuator,cli,processor]' && rm -rf /src && useradd --create-home holdfast
USER holdfast
WORKDIR /home/holdfast
ENTRYPOINT ["holdfast"]
