"""The directory as its users meet it: over HTTP, both variants by the same client."""

import socket
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import client
import pytest
from employee_directory.photos import MAX_PHOTO_BYTES

from .conftest import METADATA, serving

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))

AWKWARD = {
    "name": "Радја <script>alert('1')</script> & \"Sons\"",
    "job_title": "100% + \\n %41 tester",
    "location": "A\tB\r\nC",
}


@pytest.fixture(params=["full", "minimal"])
def either(request: pytest.FixtureRequest) -> str:
    base_url: str = request.getfixturevalue(request.param)
    return base_url


def add(base_url: str, *, name: str = "Ada", job_title: str = "Engines", location: str = "", email: str = "") -> None:
    client.add_employee(base_url, name=name, job_title=job_title, location=location, email=email)


def get(base_url: str, path: str, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    return send(base_url, method, path)


def send(
    base_url: str, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(urlsplit(base_url).netloc, timeout=30)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_an_added_employee_is_listed(either: str) -> None:
    client.add_employee(either, name="Ada Lovelace", job_title="Head of Engines", email="ada@example.com")

    (employee,) = client.employees(either)

    assert (employee["name"], employee["job_title"], employee["email"]) == (
        "Ada Lovelace",
        "Head of Engines",
        "ada@example.com",
    )


def test_awkward_text_comes_back_as_one_line(either: str) -> None:
    add(either, **AWKWARD)

    (employee,) = client.employees(either)

    assert {name: employee[name] for name in AWKWARD} == {**AWKWARD, "location": "A B C"}


def test_markup_in_a_name_is_shown_as_text(either: str) -> None:
    add(either, **AWKWARD)

    _, page = get(either, "/")

    assert b"&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt; &amp; &quot;Sons&quot;</h2>" in page
    assert b"<script" not in page


@pytest.mark.parametrize("given", [{"name": ""}, {"job_title": " "}, {"email": "nonsense"}, {"name": "x" * 101}])
def test_an_employee_that_breaks_a_rule_is_refused(either: str, given: dict[str, str]) -> None:
    with pytest.raises(client.DirectoryError, match="400"):
        add(either, **given)

    assert client.employees(either) == []


def test_the_longest_name_is_counted_in_characters(either: str) -> None:
    client.add_employee(either, name="ж" * 100, job_title="Tester")

    assert client.employees(either)[0]["name"] == "ж" * 100


def test_a_page_that_is_not_there_is_not_found(either: str) -> None:
    answer, page = get(either, "/nowhere/")

    assert (answer.status, b"There is no such page." in page) == (404, True)


def test_a_head_request_is_answered_without_a_body(either: str) -> None:
    answer, body = get(either, "/", method="HEAD")

    assert (answer.status, body) == (200, b"")


def test_a_directory_outside_ec2_says_so(either: str) -> None:
    _, page = get(either, "/")

    assert b"not on an instance" in page
    assert client.instance(either) is None


def test_a_refused_form_comes_back_with_what_was_typed(full: str) -> None:
    answer, page = submit(full, "/employees", name="Ada", job_title="")

    assert answer.status == 400
    assert b'value="Ada"' in page
    assert b"Please enter a job title." in page


def test_the_page_names_the_instance_that_serves_it(tmp_path: Path, metadata_url: str) -> None:
    with serving(tmp_path, metadata_url) as base_url:
        _, page = get(base_url, "/")

        assert all(value.encode() in page for value in METADATA.values())
        assert client.instance(base_url) == {
            "instance_id": METADATA["instance-id"],
            "host_name": METADATA["local-hostname"],
            "ami_id": METADATA["ami-id"],
        }


def test_a_photo_comes_back_byte_for_byte(full: str) -> None:
    client.add_employee(full, name="Ada", job_title="Engines", photo=PNG)

    assert client.photo(full, client.employees(full)[0]["photo"]) == PNG


def test_a_directory_keeps_its_employees_over_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as base_url:
        client.add_employee(base_url, name="Ada", job_title="Engines", photo=PNG)
        before = client.employees(base_url)
    with serving(tmp_path) as base_url:
        assert client.employees(base_url) == before
        assert client.photo(base_url, before[0]["photo"]) == PNG


@pytest.mark.parametrize("photo", [b"GIF89a", b"<svg onload=alert(1)>", PNG + bytes(MAX_PHOTO_BYTES)])
def test_what_is_no_photo_is_refused(full: str, photo: bytes) -> None:
    with pytest.raises(client.DirectoryError, match=r"400|413"):
        client.add_employee(full, name="Ada", job_title="Engines", photo=photo)

    assert client.employees(full) == []


def test_a_body_over_the_limit_is_answered_and_not_just_cut_off(full: str) -> None:
    answer, page = send(full, "POST", "/employees", bytes(MAX_PHOTO_BYTES * 2))

    assert (answer.status, b"up to 4 MiB" in page) == (413, True)


def csrf_token(base_url: str) -> str:
    answer, _ = get(base_url, "/employees/new")
    return answer.headers["Set-Cookie"].split(";")[0].removeprefix("csrf=")


def submit(base_url: str, path: str, **fields: str) -> tuple[HTTPResponse, bytes]:
    token = csrf_token(base_url)
    content_type, body = client.multipart({"csrf": token, **fields}, {})
    return send(base_url, "POST", path, body, Content_Type=content_type, Cookie=f"csrf={token}")


def test_an_edited_employee_keeps_the_photo(full: str) -> None:
    client.add_employee(full, name="Ada", job_title="Engines", photo=PNG)
    (before,) = client.employees(full)

    submit(full, f"/employees/{before['id']}", name="Ada", job_title="Everything", badges="Poetry, Poetry, Logic")

    assert client.employees(full) == [{**before, "job_title": "Everything", "badges": ["Poetry", "Logic"]}]


def test_a_deleted_employee_is_gone_with_the_photo(full: str) -> None:
    client.add_employee(full, name="Ada", job_title="Engines", photo=PNG)
    (before,) = client.employees(full)

    submit(full, f"/employees/{before['id']}/delete")

    assert client.employees(full) == []
    assert get(full, before["photo"])[0].status == 404


@pytest.mark.parametrize("path", ["/employees/7", "/employees/7/delete", f"/employees/{'9' * 18}"])
def test_changing_nobody_is_not_found(full: str, path: str) -> None:
    assert submit(full, path, name="Ada", job_title="Engines")[0].status == 404


def test_a_form_without_the_token_is_refused(full: str) -> None:
    headers = {"Content_Type": "application/x-www-form-urlencoded", "Cookie": f"csrf={csrf_token(full)}"}

    answer, _ = send(full, "POST", "/employees", b"name=Ada&job_title=Engines", **headers)

    assert answer.status == 403


def test_a_method_that_a_page_does_not_have_names_the_one_it_has(full: str) -> None:
    answer, _ = send(full, "DELETE", "/")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("path", ["/photos/../directory.sqlite3", "/photos/..%2fdirectory.sqlite3"])
def test_a_photos_address_reaches_no_other_file(full: str, path: str) -> None:
    assert get(full, path)[0].status == 404


def test_a_search_finds_by_every_word(full: str) -> None:
    client.add_employee(full, name="Ada", job_title="Engines", badges="Poetry")
    client.add_employee(full, name="Alan", job_title="Engines", badges="Running")

    _, page = get(full, "/?q=POETRY+engine")

    assert (b"Ada" in page, b"Alan" in page) == (True, False)


def test_a_form_on_another_sites_page_is_refused_by_the_minimal_variant(minimal: str) -> None:
    headers = {"Content_Type": "application/x-www-form-urlencoded", "Origin": "http://evil.example"}

    answer, _ = send(minimal, "POST", "/employees/", b"name=Ada&job_title=Engines", **headers)

    assert answer.status == 403


def test_the_minimal_variant_deletes(minimal: str) -> None:
    for name in ("Ada", "Alan", "Grace"):
        client.add_employee(minimal, name=name, job_title="Engineer")

    send(minimal, "POST", "/employees/2/delete/", b"", Content_Type="application/x-www-form-urlencoded")

    assert [employee["name"] for employee in client.employees(minimal)] == ["Ada", "Grace"]


def test_the_minimal_variant_never_gives_an_id_twice(minimal: str) -> None:
    client.add_employee(minimal, name="Ada", job_title="Engineer")
    send(minimal, "POST", "/employees/1/delete/", b"", Content_Type="application/x-www-form-urlencoded")

    client.add_employee(minimal, name="Alan", job_title="Engineer")

    assert client.employees(minimal)[0]["id"] == 2


def test_the_minimal_variant_refuses_a_form_over_its_limit(minimal: str) -> None:
    headers = {"Content_Type": "application/x-www-form-urlencoded"}

    assert send(minimal, "POST", "/employees/", b"x" * 8193, **headers)[0].status == 413


def test_waiting_for_what_never_comes_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        address = f"http://127.0.0.1:{reserved.getsockname()[1]}"
    with pytest.raises(client.DirectoryError, match=r"was not healthy after 0\.1 s"):
        client.wait_until_healthy(address, deadline_s=0.1)
