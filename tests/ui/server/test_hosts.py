"""For whom the server answers, and from whose pages it takes requests."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from gan_space.errors import ConfigError
from gan_space.ui.server.folder import server_folder
from gan_space.ui.server.hosts import HOSTS_VARIABLE, find_hosts, host_of, reach, site_of

UPLOAD = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nfrom another site\r\n--x--\r\n'
EVIL = "evil.example"


@pytest.fixture(autouse=True)
def at_home(monkeypatch):
    for name in ("SPACE_HOST", "SPACE_ID", "GRADIO_SERVER_NAME", HOSTS_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def ask(url: str, method: str = "GET", path: str = "/", body: bytes | None = None, **headers: str | None):
    """(status, text, headers) of a request with exactly these headers; "Host" is the address's own if not given."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    sent = {"Host": urlsplit(url).netloc} | {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Type", "multipart/form-data; boundary=x")
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read(2000).decode(errors="replace")
    connection.close()
    return answer.status, text, {name.lower(): value for name, value in answer.getheaders()}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {"Host": EVIL}),
        ("GET", "/", {"Host": f"{EVIL}:7860"}),
        ("GET", "/config", {"Host": f"localhost.{EVIL}"}),
        ("GET", "/", {"Host": "127.0.0.1.nip.io"}),
        ("GET", "/", {"Host": "localhost@evil"}),
        ("GET", "/", {"Host": ""}),
        ("OPTIONS", "/gradio_api/upload", {"Host": EVIL, "Origin": f"http://{EVIL}"}),
        ("POST", "/gradio_api/mcp/", {"Host": EVIL, "Origin": f"http://{EVIL}"}),
        ("POST", "/gradio_api/upload", {"Origin": f"https://{EVIL}"}),
        ("POST", "/gradio_api/upload", {"Origin": "null"}),
        ("POST", "/gradio_api/upload", {"Sec_Fetch_Site": "cross-site"}),
        ("POST", "/gradio_api/mcp/", {"Origin": f"https://{EVIL}"}),
        ("GET", "/config", {"Origin": f"https://{EVIL}"}),
        (
            "OPTIONS",
            "/gradio_api/call/generate",
            {"Origin": f"https://{EVIL}", "Access_Control_Request_Method": "POST"},
        ),
    ],
)
def test_other_hosts_and_other_sites_get_one_line(app_url, method, path, headers):
    before = set(server_folder().uploads.rglob("*"))
    status, text, found = ask(app_url, method, path, UPLOAD if method == "POST" else None, **headers)
    assert status == 403 and "--allowed-host" in text and text.count("\n") == 1 and len(text) < 200
    assert not [name for name in found if name.startswith("access-control")]
    assert set(server_folder().uploads.rglob("*")) == before


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/", {"Host": "localhost:1234"}),
        ("GET", "/", {"Host": "LOCALHOST."}),
        ("GET", "/", {"Host": "[::1]:7860"}),
        ("GET", "/", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "iframe", "Sec_Fetch_Mode": "navigate"}),
        ("POST", "/gradio_api/upload", {}),  # a program
        ("POST", "/gradio_api/upload", {"Origin": "http://localhost:3000"}),
        ("POST", "/gradio_api/upload", {"Origin": "null", "Sec_Fetch_Site": "same-origin"}),
    ],
)
def test_its_own_names_pages_and_programs_are_served(app_url, method, path, headers):
    status, text, _ = ask(app_url, method, path, UPLOAD if method == "POST" else None, **headers)
    assert status == 200, text


def test_a_space_answers_under_its_names_and_in_the_frame_of_its_page(monkeypatch):
    hosts = find_hosts()
    assert not hosts.has("user-portraits.hf.space") and not hosts.trusts("huggingface.co", "localhost")
    monkeypatch.setenv("SPACE_HOST", "user-portraits.hf.space")
    hosts = find_hosts()
    assert hosts.has("user-portraits.hf.space") and hosts.has("localhost") and not hosts.has(EVIL)
    assert hosts.trusts("user-portraits.hf.space", "user-portraits.hf.space")
    assert hosts.trusts("huggingface.co", "user-portraits.hf.space")
    assert not hosts.trusts("other-portraits.hf.space", "user-portraits.hf.space")


def test_names_are_allowed_by_option_and_by_variable(monkeypatch):
    monkeypatch.setenv(HOSTS_VARIABLE, "a.example, b.example")
    hosts = find_hosts(["Portraits.Example.org,c.example", "*.wide.example"], bound_to="server.lan")
    for name in ("a.example", "b.example", "portraits.example.org", "c.example", "x.y.wide.example", "server.lan"):
        assert hosts.has(name) and hosts.trusts(name, "localhost"), name
    for name in (EVIL, "wide.example", "notwide.example", "example.org", "10.0.0.7"):
        assert not hosts.has(name), name
    assert hosts.has("10.0.0.7", own_address="10.0.0.7")  # the address at which the request arrived
    assert find_hosts(["*"]).has(EVIL)
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*'http://a\.example'.*'a b'"):
        find_hosts(["http://a.example", "a b"])


def test_who_serves_others_is_told_how_to_allow_a_name():
    assert "--allowed-host" in reach("0.0.0.0") and "a.example" in reach("0.0.0.0", ["a.example"])
    assert reach(None) == reach("127.0.0.1") == reach("0.0.0.0", ["*"]) == ""


def test_headers_that_browsers_would_not_send_name_nothing():
    assert host_of(["a.example:80"]) == "a.example" and host_of(["[::1]:80"]) == "::1"
    assert [host_of(one) for one in ([], ["a", "b"], ["a b"], ["a:b:c"], ["a/"], ["ä.example"])] == [None] * 6
    assert site_of([]) is None and site_of(["https://A.example:8080"]) == "a.example"
    assert [site_of(one) for one in (["null"], ["http://[x"], ["a", "b"], [""])] == ["null"] * 4
