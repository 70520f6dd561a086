"""Where manifests can come from: text, files, folders, streams, YAML and JSON."""

from __future__ import annotations

import base64
import io
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from planton.errors import ManifestError, Origin, Problem
from planton.manifest import Manifests, load, loads
from tests.manifest.support import DATABASE, DATABASE_HEAD, EXAMPLES, OPERATOR, database, only, problems, spec


def names(manifests: Manifests) -> list[str]:
    return [message.metadata.name for message in manifests]


def named(name: str) -> str:
    return DATABASE.replace("orders", name)


def failures(source: object) -> tuple[Problem, ...]:
    with pytest.raises(ManifestError) as caught:
        load(source)  # type: ignore[arg-type]
    return caught.value.problems


# Text


def test_both_spellings_of_every_field_are_one() -> None:
    snake = spec("backup_config:\n  s3_prefix: bucket/a\n  enable_backup: true\ncontainer: {disk_size: 2Gi}")
    camel = spec("backupConfig:\n  s3Prefix: bucket/a\n  enableBackup: true\ncontainer: {diskSize: 2Gi}")
    assert loads(snake) == loads(camel)
    assert loads(DATABASE.replace("apiVersion", "api_version")) == loads(DATABASE)


def test_kind_may_come_last() -> None:
    late = "spec: {container: {replicas: 3}}\nmetadata: {name: orders}\nkind: PostgresKubernetes\n"
    late += "apiVersion: kubernetes.project-planton.org/v1\n"
    assert loads(late) == loads(spec("container: {replicas: 3}"))


def test_empty_documents_are_passed_over_and_counted() -> None:
    text = f"---\n---\n# nothing\n---\n~\n---\nnull\n---\n{DATABASE}---\n"
    (origin,) = loads(text).origins
    assert origin == Origin("<text>", 5, 9)


def test_the_line_of_a_document_is_that_of_its_first_field() -> None:
    loaded = loads(f"# a comment\n\n{named('a')}\n\n---\n# another\n{named('b')}")
    assert [origin.line for origin in loaded.origins] == [3, 12]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "---\n...\n---\n", "null", " ", "\ufeff"])
def test_nothing_in_a_file_is_an_error(text: str) -> None:
    assert only(text).message == "has no document in it"


def test_bytes_with_a_byte_order_mark() -> None:
    assert loads(b"\xef\xbb\xbf" + DATABASE.encode()) == loads(DATABASE)
    assert loads("\ufeff" + DATABASE) == loads(DATABASE)


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_other_systems(end: str) -> None:
    loaded = loads(f"{DATABASE}---\n{named('b')}".replace("\n", end))
    assert names(loaded) == ["orders", "b"]
    assert loaded.origins[1].line == 7


def test_anchors_and_aliases() -> None:
    text = spec("container:\n  resources:\n    limits: &size {cpu: &one '1', memory: 2Gi}\n    requests: *size\n")
    resources = database(text).spec.container.resources
    assert resources.limits == resources.requests
    assert resources.limits.cpu == "1"


def test_an_alias_of_an_alias_and_an_alias_as_key() -> None:
    text = f"{DATABASE_HEAD}  slug: &slug some-slug\n  tags: &tags [*slug, b]\n  version: {{*slug : x}}\nspec: {{}}\n"
    assert [problem.path for problem in problems(text)] == ["metadata.version.some-slug"]
    good = f"{DATABASE_HEAD}  tags: [&a x, *a, *a]\n  labels: {{*a : *a}}\nspec: {{}}\n"
    message = database(good)
    assert list(message.metadata.tags) == ["x", "x", "x"]
    assert dict(message.metadata.labels) == {"x": "x"}


def test_anchors_do_not_reach_the_next_document() -> None:
    problem = only(f"{DATABASE_HEAD}  tags: [&a x]\nspec: {{}}\n---\n{DATABASE_HEAD}  tags: [*a]\nspec: {{}}\n")
    assert (problem.origin.document, problem.origin.line) == (2, 12)


def test_status_is_kept() -> None:
    message = database(DATABASE + "status: {outputs: {kube_endpoint: here, username_secret: {name: a, key: b}}}\n")
    assert message.status.outputs.kube_endpoint == "here"
    assert message.status.outputs.username_secret.key == "b"


# JSON

JSON = """{
  "apiVersion": "kubernetes.project-planton.org/v1",
  "kind": "PostgresKubernetes",
  "metadata": {"name": "%s", "slug": "\\ud83d\\ude00\\u0041", "tags": []},
  "spec": {"container": {"replicas": 2}}
}
"""


@pytest.mark.parametrize("file", ["<text>", "a.json", "A.JSON"])
def test_json_with_surrogate_pairs(file: str) -> None:
    (message,) = loads(JSON % "a", file=file)
    assert message.metadata.slug == "😀A"


@pytest.mark.parametrize("file", ["<text>", "a.json"])
@pytest.mark.parametrize("form", ["%s%s", "[%s, %s]", " [\n%s,%s ]\n", "%s\n\n%s"])
def test_several_json_documents(form: str, file: str) -> None:
    loaded = loads(form % (JSON % "a", JSON % "b"), file=file)
    assert names(loaded) == ["a", "b"]
    assert [origin.document for origin in loaded.origins] == [1, 2]


def test_json_keys_of_any_length() -> None:
    text = JSON.replace('"slug"', '"annotations": {"' + "k" * 2000 + '": "v"}, "slug"') % "a"
    problem = only(text, file="a.json")
    assert problem.path == 'metadata.annotations["…"]'
    assert problem.origin.line == 4


def test_yaml_in_braces_is_yaml() -> None:
    text = "{apiVersion: kubernetes.project-planton.org/v1, kind: PostgresKubernetes, metadata: {name: a}, spec: {}}"
    assert names(loads(text)) == ["a"]
    assert names(loads(text.replace("apiVersion", '"apiVersion"'))) == ["a"]


def test_json_duplicate_keys_have_lines() -> None:
    problem = only(JSON.replace('"spec"', '"kind": "PostgresKubernetes",\n  "spec"') % "a", file="a.json")
    assert (problem.path, problem.origin.line) == ("kind", 5)
    assert problem.message == "is given twice, first on line 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected a name in double quotes"),
        ('{"a" 1}', "expected a colon after the name"),
        ('{"a": 1', "expected a comma or the end of the object or list"),
        ('{"a": 1,}', "expected a name in double quotes"),
        ('{"a": [1,]}', "expected a value"),
        ("[{},]", "a comma without a value after it"),
        ("[{} {}]", "expected a comma or the end of the list"),
        ("[{}", "expected a comma or the end of the list"),
        ("[", "the list is not closed"),
        ("[]]", "text after the list"),
        ('{"a": tru}', "expected a value"),
        ('{"a": 01}', "expected a value"),
        ('{"a": NaN}', "expected a value"),
        ('{"a": ', "it ends too early"),
        ('{"a": "\n"}', "invalid control character at"),
        ('{"a": "\\ud800"}', "half of a surrogate pair in an escape"),
        ("apiVersion: x", "expected a value"),
    ],
)
def test_what_is_not_json(text: str, message: str) -> None:
    found = problems(text, file="a.json")
    assert found[-1].message == f"is not valid JSON: {message}"
    assert found[-1].origin.line == 1


def test_json_numbers_are_no_text() -> None:
    text = JSON.replace('"%s"', "17")
    assert only(text, file="a.json").message.startswith("is a number")


# Files and folders


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(DATABASE)
    for source in (path, str(path), [path], (one for one in [str(path)])):
        assert load(source).origins == (Origin(str(path), 1, 1),)


def test_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(JSON % "a")
    assert names(load(path)) == ["a"]
    path.write_text(DATABASE)
    assert failures(path)[0].message == "is not valid JSON: expected a value"


def test_a_folder_is_read_sorted_with_the_folders_in_it(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c/d.json", "c/B.YAML", ".hidden.yaml", ".git/x.yaml", "notes.md", "z/y.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        own = name.lower().replace("/", "-").partition(".")[0]
        path.write_text(JSON % own if name.endswith(".json") else named(own))
    loaded = load(tmp_path)
    assert names(loaded) == ["a", "b", "c-b", "c-d"]
    assert loaded.origins[0].file == str(tmp_path / "a.yml")


def test_a_folder_without_manifests(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing")
    (problem,) = failures(tmp_path)
    assert problem.origin.file == str(tmp_path)
    assert problem.message == "has no manifests in it: no file that ends in .yaml, .yml, .json"


def test_links_are_followed_and_loops_are_found(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.yaml").write_text(DATABASE)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "linked").symlink_to(tmp_path / "real")
    assert names(load(tmp_path / "folder")) == ["orders"]
    (tmp_path / "folder" / "loop").symlink_to(tmp_path / "folder")
    (problem,) = failures(tmp_path / "folder")
    assert problem.origin.file == str(tmp_path / "folder" / "loop")
    assert problem.message == "is a link to a folder above it: remove the link"


def test_every_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.symlink_to(tmp_path / "nowhere")
    good = tmp_path / "good.yaml"
    good.write_text(spec("replica: 1"))
    found = failures([tmp_path / "missing.yaml", broken, good, "a\0b"])
    assert [problem.origin.file for problem in found] == [
        str(tmp_path / "missing.yaml"),
        str(broken),
        str(good),
        "a\\x00b",
    ]
    assert found[0].message == "cannot be used: no such file or directory"
    assert found[3].message == "cannot be used"


def test_a_path_in_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert failures(tmp_path)[0].message == "cannot be used: permission denied"


def test_a_pipe_into_which_nobody_writes_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "a.yaml"
    os.mkfifo(pipe)
    assert [problem.message for problem in failures(pipe)] == ["is a pipe into which nobody writes"]


def test_what_is_not_a_file_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DATABASE)
    os.mkfifo(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").symlink_to("/dev/zero")
    found = failures(tmp_path)
    assert [Path(problem.origin.file).name for problem in found] == ["b.yaml", "c.yaml"]
    assert {problem.message for problem in found} == {"is not a file: take it out of the folder"}


def test_a_named_pipe_with_a_writer_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Opened for both, so that it has a writer before the reader comes.
    descriptor = os.open(pipe, os.O_RDWR)

    def write() -> None:
        time.sleep(0.2)
        os.write(descriptor, named("late").encode())
        os.close(descriptor)

    writer = threading.Thread(target=write)
    writer.start()
    assert names(load(pipe)) == ["late"]
    writer.join()


def test_pipes_of_a_shell(tmp_path: Path) -> None:
    program = "import sys; from planton.manifest import load; print([m.metadata.name for m in load(sys.argv[1:])])"
    path = tmp_path / "a.yaml"
    path.write_text(named("fd"))
    command = (
        f"cat '{path}' | sed s/fd/stdin/ | '{sys.executable}' -c '{program}' /dev/stdin <(sleep 0.2; cat '{path}')"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("['stdin', 'fd']\n", "")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/ptmx", "socket"])
def test_sockets_and_devices_are_refused(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        assert [problem.message for problem in failures(path)] == ["is a socket or a device, not a file"]


def test_files_that_are_too_large_together_are_refused_before_any_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        with open(tmp_path / f"{number}.yaml", "wb") as file:
            file.truncate(15 * 2**20)
    monkeypatch.setattr("planton.manifest._sources.read_file", lambda path: pytest.fail("was read"))
    (found,) = failures(tmp_path)
    assert Path(found.origin.file).name == "4.yaml"
    assert found.message == "the files up to here are larger than 64 MiB together: read them in several parts"


def test_pipes_count_for_the_limit_of_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(named(name))
    # As with a file that grows after it was looked at.
    monkeypatch.setattr("planton.manifest._sources.too_large", lambda entries: None)
    monkeypatch.setattr("planton.manifest._limits.MAX_TOTAL_BYTES", len(DATABASE) + 10)
    (found,) = failures(tmp_path)
    assert Path(found.origin.file).name == "b.yaml"
    assert "together" in found.message


def test_no_path_at_all() -> None:
    assert failures([])[0].message == "no path was given"


def test_problems_of_several_files_come_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(spec("wrong: 1"))
    found = failures(tmp_path)
    assert [(Path(problem.origin.file).name, problem.origin.line) for problem in found] == [
        ("a.yaml", 6),
        ("b.yaml", 6),
    ]


# Streams


def test_open_streams(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(DATABASE)
    with path.open() as text, path.open("rb") as binary:
        assert load(text).origins[0].file == str(path)
        assert names(load(binary)) == ["orders"]
    assert load(io.StringIO(DATABASE)).origins[0].file == "<stream>"
    assert names(load(io.BytesIO(OPERATOR.encode()))) == ["postgres-operator"]


def test_a_stream_that_gives_little_at_a_time() -> None:
    class Slow(io.RawIOBase):
        rest = OPERATOR.encode()

        def read(self, size: int = -1) -> bytes:
            chunk, self.rest = self.rest[:7], self.rest[7:]
            return chunk

    assert names(load(Slow())) == ["postgres-operator"]  # type: ignore[arg-type]


def test_a_stream_of_bad_text() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"a: \xff"), encoding="utf-8")
    assert failures(stream)[0].message == "is not valid UTF-8"


def test_a_closed_stream() -> None:
    stream = io.StringIO(DATABASE)
    stream.close()
    assert failures(stream)[0].message == "cannot be used"


def test_standard_input() -> None:
    code = "from planton.manifest import load; m = load(['-']); print(m, m.origins[0])"
    text = "---\n".join(EXAMPLES.values())
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("<Manifests: PostgresOperatorKubernetes/postgres-operator, ")
    assert "file='<stdin>', document=1" in done.stdout


def test_standard_input_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert failures("-")[0].message == "there is no standard input"


# Text in the place of a path


@pytest.mark.parametrize(
    "text",
    [
        DATABASE,
        "secret_access_key: SENTINEL\r\n",
        "secret_access_key: SENTINEL",
        '{"secret_access_key":"SENTINEL"}',
        "SENTINEL" * 2000,
        # As a variable of a pipeline has it.
        base64.b64encode(b"secret_access_key: SENTINEL of a manifest").decode(),
    ],
)
def test_a_text_in_the_place_of_a_path_is_not_quoted(text: str, tmp_path: Path) -> None:
    for source in (text, [tmp_path, text], Path(text)):
        (problem,) = failures(source)
        assert problem == Problem("this is text, not a path: use planton.loads")


def test_a_path_with_odd_characters_is_read_where_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a: {b}\nc.yaml"
    path.write_text(DATABASE)
    assert names(load(path)) == names(load(str(path))) == ["orders"]
    path.write_text("kind: [")
    (problem,) = failures(path)
    assert problem.origin.file == str(tmp_path / "a: {b}") + "\\nc.yaml"


def test_paths_in_errors_are_short_and_printable(tmp_path: Path) -> None:
    (escape,) = failures("there/is\x1b[2J/none")
    assert escape.origin.file == "there/is\\x1b[2J/none"
    long = "/".join(["a" * 100] * 4)
    deep = tmp_path / long
    deep.mkdir(parents=True)
    (problem,) = failures(deep)
    assert problem.message.startswith("has no manifests in it")
    assert len(problem.origin.file) == 301
    assert str(deep).startswith(problem.origin.file.partition("…")[0])
    assert str(deep).endswith(problem.origin.file.partition("…")[2])
    with pytest.raises(ManifestError) as caught:
        loads("kind: [", file="x\x1b" * 1000)
    assert len(caught.value.problems[0].origin.file) < 800
