"""Downloads: complete or absent, resumed after an interruption, from a real server on this machine."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from framebench.data import DataError
from framebench.data.download import download

pytestmark = pytest.mark.check

CONTENT = bytes(range(256)) * 8000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """Serves CONTENT; tests change the way, and read the requested ranges."""

    def __init__(self):
        self.ranges = True
        self.stop_after = None
        self.status = None
        self.asked = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/file.tar.gz"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def answer(self, handler):
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if self.status or start >= len(CONTENT):
            handler.send_error(self.status or 416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(CONTENT) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        handler.end_headers()
        handler.wfile.write(CONTENT[start : self.stop_after])

    def close(self):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    yield server
    server.close()


def test_a_file_is_downloaded_whole_with_its_progress(server, tmp_path, capsys):
    download(server.url, tmp_path / "new" / "file.tar.gz", MD5, "data")
    assert (tmp_path / "new" / "file.tar.gz").read_bytes() == CONTENT
    assert len(list((tmp_path / "new").iterdir())) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "file.tar.gz: 2.0 MB of 2.0 MB, 100%" and len(lines) < 20


def test_a_whole_file_is_not_downloaded_again(server, tmp_path):
    for _ in range(2):
        download(server.url, tmp_path / "file.tar.gz", MD5, "data")
    assert server.asked == [None]


def test_a_file_with_another_md5_is_replaced(server, tmp_path):
    (tmp_path / "file.tar.gz").write_bytes(b"something else")
    download(server.url, tmp_path / "file.tar.gz", MD5, "data")
    assert (tmp_path / "file.tar.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_a_broken_download_is_completed_by_the_next_call(server, tmp_path, ranges):
    destination = tmp_path / "file.tar.gz"
    server.stop_after = 1_000_000
    with pytest.raises(DataError, match=r"connection broke .* 1000000 of 2048000 bytes.*run again to continue"):
        download(server.url, destination, MD5, "data")
    assert not destination.exists() and (tmp_path / "file.tar.gz.part").stat().st_size == 1_000_000
    server.stop_after = None
    server.ranges = ranges
    download(server.url, destination, MD5, "data")
    assert destination.read_bytes() == CONTENT and list(tmp_path.iterdir()) == [destination]
    assert server.asked == [None, "bytes=1000000-"]


def test_a_whole_part_needs_no_server(tmp_path):
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT)
    download("http://127.0.0.1:9/file.tar.gz", tmp_path / "file.tar.gz", MD5, "data")
    assert (tmp_path / "file.tar.gz").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT + b"more")
    download(server.url, tmp_path / "file.tar.gz", MD5, "data")
    assert (tmp_path / "file.tar.gz").read_bytes() == CONTENT
    assert server.asked == ["bytes=2048004-", None]


def test_an_altered_download_is_refused_and_forgotten(server, tmp_path):
    with pytest.raises(DataError, match=f"has MD5 {MD5}, expected {'0' * 32}.*run again"):
        download(server.url, tmp_path / "file.tar.gz", "0" * 32, "data")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_refuses_is_named_with_its_answer(server, tmp_path):
    server.status = 503
    with pytest.raises(DataError, match=r"file.tar.gz: cannot be downloaded \(HTTP 503 .*data.archive"):
        download(server.url, tmp_path / "file.tar.gz", MD5, "data")


def test_no_server_leads_to_the_alternatives(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DataError, match=r"cannot be downloaded.*local copy of file.tar.gz.*synthetic"):
        download("http://127.0.0.1:9/file.tar.gz", tmp_path / "file.tar.gz", MD5, "data")


def test_a_place_that_cannot_keep_the_download_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(DataError, match=r"file/file.tar.gz.part: the download cannot be kept: \w+"):
        download(server.url, tmp_path / "file" / "file.tar.gz", MD5, "data")
