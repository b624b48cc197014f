FROM python:3.13-slim

WORKDIR /app
ENV PYTHONUNBUFFERED=1 HOST=0.0.0.0 VAR_DIR=/var/lib/parley
RUN useradd --system parley && install -d -o parley /var/lib/parley
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt
COPY . .
USER parley
VOLUME /var/lib/parley
EXPOSE 8000
# Exec form: SIGTERM reaches the server, which then ends by itself.
CMD ["python", "manage.py", "serve"]
