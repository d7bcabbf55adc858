"""A schema registry in this process: what it answers, path by path, and what it was asked."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class RegistryStub:
    """``answers`` maps a path without its query to a status and an object, or bytes. Other paths are
    unknown schemas.
    """

    def __init__(self):
        self.answers, self.asked, self.headers, self.drips = {}, [], [], False
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path = urlsplit(self.path).path
                stub.asked.append(self.path)
                stub.headers.append(dict(self.headers))
                status, answer = stub.answers.get(path, (404, {"error_code": 40403, "message": "Schema not found"}))
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()
                try:
                    if stub.drips:
                        for byte in body:
                            self.wfile.write(bytes([byte]))
                            self.wfile.flush()
                            time.sleep(0.01)
                    self.wfile.write(body)
                except OSError:
                    pass  # the client has closed the connection

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def schema(self, schema_id, schema, *references, **more):
        text = schema if isinstance(schema, str) else json.dumps(schema)
        self.answers[f"/schemas/ids/{schema_id}"] = 200, {"schema": text, "references": list(references), **more}

    def subject(self, subject, version, schema, *references):
        answer = {"schema": json.dumps(schema), "references": list(references), "subject": subject, "version": version}
        self.answers[f"/subjects/{subject}/versions/{version}"] = 200, answer

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def reference(name, subject, version=1):
    return {"name": name, "subject": subject, "version": version}
