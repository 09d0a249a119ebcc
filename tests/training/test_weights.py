import hashlib
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from domain.errors import Cancelled, ModelError
from training import weights
from training.backbones import backbone_sha256, build_backbone
from training.downloads import download
from training.weights import WeightsKind, load_weights, save_backbone

NAME = "mobilenet_v2"


@pytest.fixture
def backbone():
    return build_backbone(NAME)


@pytest.fixture
def trained():
    """Other weights than the fixture `backbone` has, as torchvision saves them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return models.mobilenet_v2(num_classes=5).state_dict()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch.hub's download folder, and nothing of the network."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def server():
    """A file server on a free port; `serve(handler)` gives its address."""
    servers = []

    def serve(answer):
        handler = type("Handler", (_Quiet,), {"do_GET": answer})
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for running in servers:
        running.shutdown()
        running.server_close()


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing on the terminal of the tests."""


def sending(body, *, promised=None):
    def answer(request):
        request.send_response(200)
        request.send_header("Content-Length", str(promised or len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def stalling(released):
    def answer(request):
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"x" * 10)
        request.wfile.flush()
        released.wait(20)

    return answer


def holds(backbone, state):
    loaded = backbone.network.state_dict()
    return all(torch.equal(loaded[key], state[key].to(loaded[key].dtype)) for key in loaded)


def without_classifier(state):
    return {key: value for key, value in state.items() if not key.startswith("classifier.")}


def saved(state, path):
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("file_name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("prepare", [dict, without_classifier], ids=["classifier", "bare"])
def test_a_weights_file_is_loaded_with_and_without_classifier(
    backbone, trained, tmp_path, file_name, prepare
):
    info = load_weights(backbone, saved(prepare(trained), tmp_path / file_name))
    assert holds(backbone, trained)
    assert (info.kind, info.name) == (WeightsKind.FILE, file_name)
    assert info.sha256 == backbone_sha256(backbone)


def test_half_precision_weights_are_cast(backbone, trained, tmp_path):
    halves = {key: value.half() for key, value in trained.items()}
    load_weights(backbone, saved(halves, tmp_path / "half.safetensors"))
    assert holds(backbone, halves)
    assert {value.dtype for value in backbone.parameters()} == {torch.float32}


def test_densenet_files_with_the_old_names_are_loaded(tmp_path):
    reference = models.densenet121(num_classes=2).state_dict()
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): value
        for key, value in reference.items()
    }
    assert old.keys() != reference.keys()
    backbone = build_backbone("densenet121")
    load_weights(backbone, saved(old, tmp_path / "old.pth"))
    assert holds(backbone, reference)


def without_one(state):
    del state["features.5.conv.0.0.weight"]
    return state


def with_another(state):
    return state | {"extra.weight": torch.zeros(3)}


def with_another_shape(state):
    return state | {"features.0.0.weight": torch.zeros(32, 1, 3, 3)}


def with_nan(state):
    return state | {"features.0.0.weight": torch.full((32, 3, 3, 3), torch.nan)}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_one, "1 parameters are missing (features.5.conv.0.0.weight)"),
        (with_another, "1 are unknown (extra.weight)"),
        (with_another_shape, "features.0.0.weight has shape [32, 1, 3, 3], not [32, 3, 3, 3]"),
        (with_nan, "features.0.0.weight holds values that are not finite"),
    ],
)
def test_weights_that_do_not_fit_are_explained_and_change_nothing(
    backbone, trained, tmp_path, spoil, said
):
    path = saved(spoil(trained), tmp_path / "spoilt.safetensors")
    before = backbone_sha256(backbone)
    with pytest.raises(ModelError) as caught:
        load_weights(backbone, path)
    assert said in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert backbone_sha256(backbone) == before


def test_weights_of_another_architecture_name_the_backbone(backbone, tmp_path):
    path = saved(models.resnet18(num_classes=2).state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(ModelError, match=r"mobilenet_v2: \d+ parameters are missing"):
        load_weights(backbone, path)


def test_a_file_with_code_in_it_is_not_run(backbone, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    torch.save({"weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ModelError, match="could run code"):
        load_weights(backbone, tmp_path / "trap.pth")
    assert not (tmp_path / "trapped").exists()


def test_a_training_checkpoint_is_refused_with_its_entries(backbone, trained, tmp_path):
    torch.save({"state_dict": trained, "epoch": 3}, tmp_path / "all.pth")
    with pytest.raises(ModelError, match="entries state_dict, epoch"):
        load_weights(backbone, tmp_path / "all.pth")


@pytest.mark.parametrize("file_name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_called_damaged(backbone, trained, tmp_path, file_name, share):
    path = saved(trained, tmp_path / file_name)
    body = path.read_bytes()
    path.write_bytes(body[: int(len(body) * share)])
    with pytest.raises(ModelError, match="cannot be read as weights") as caught:
        load_weights(backbone, path)
    assert file_name in caught.value.message


def test_a_missing_file_and_another_format_are_refused(backbone, tmp_path):
    with pytest.raises(ModelError, match="there is no such weights file"):
        load_weights(backbone, tmp_path / "none.pth")
    with pytest.raises(ModelError, match=r"must be a .safetensors or .pth file"):
        load_weights(backbone, tmp_path / "model.onnx")


def test_a_saved_backbone_comes_back_and_is_still_called_warmed_up(backbone, trained, tmp_path):
    path = tmp_path / "cache" / "warm.safetensors"
    written = save_backbone(build_backbone(NAME, seed=3), path)
    info = load_weights(backbone, path)
    assert info == written
    assert info.kind == WeightsKind.WARMED_UP
    assert info.sha256 == backbone_sha256(build_backbone(NAME, seed=3))
    assert [file.name for file in path.parent.iterdir()] == ["warm.safetensors"]


def test_a_saved_backbone_can_be_read_by_colleagues(tmp_path):
    save_backbone(build_backbone(NAME, seed=3), tmp_path / "weights.safetensors")
    assert (tmp_path / "weights.safetensors").stat().st_mode & 0o077 == 0o044


def test_a_failed_save_leaves_no_file(backbone, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_backbone(backbone, tmp_path / "warm.safetensors")
    assert not list(tmp_path.iterdir())


def published(state, tmp_path):
    """A weights file with the start of its hash in its name, as torchvision names them."""
    body = saved(state, tmp_path / "plain.pth").read_bytes()
    return body, f"/{NAME}-{hashlib.sha256(body).hexdigest()[:8]}.pth"


def test_a_download_is_kept_and_used_without_network(
    backbone, trained, tmp_path, hub, server, monkeypatch
):
    body, name = published(trained, tmp_path)
    monkeypatch.setattr(weights, "_download_url", lambda _: server(sending(body)) + name)
    info = load_weights(backbone, None)
    assert info.kind == WeightsKind.DOWNLOADED
    assert holds(backbone, trained)
    assert [file.name for file in hub.iterdir()] == [name[1:]]

    monkeypatch.setattr(weights, "_download_url", lambda _: refusing() + name)
    again = build_backbone(NAME, seed=9)
    assert load_weights(again, None) == info
    assert holds(again, trained)


def test_a_damaged_cached_file_is_downloaded_again(
    backbone, trained, tmp_path, hub, server, monkeypatch
):
    body, name = published(trained, tmp_path)
    hub.mkdir(parents=True)
    (hub / name[1:]).write_bytes(body[:1000])
    monkeypatch.setattr(weights, "_download_url", lambda _: server(sending(body)) + name)
    assert load_weights(backbone, None).kind == WeightsKind.DOWNLOADED
    assert (hub / name[1:]).read_bytes() == body


def test_without_network_the_backbone_stays_untrained_and_says_why(backbone, hub, monkeypatch):
    monkeypatch.setattr(weights, "_download_url", lambda _: f"{refusing()}/w-12345678.pth")
    before = backbone_sha256(backbone)
    info = load_weights(backbone, None)
    assert info.kind == WeightsKind.UNTRAINED
    assert info.sha256 == before == backbone_sha256(backbone)
    assert "untrained" in info.note
    assert "Connection refused" in info.note
    assert not list(hub.iterdir())


def refusing():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_stalled_download_is_given_up_and_leaves_nothing(tmp_path, server):
    released = threading.Event()
    url = server(stalling(released))
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"no data for 0\.5 s|timed out"):
        download(url, tmp_path / "new" / "w.pth", patience_s=0.5)
    released.set()
    assert time.monotonic() - started < 5
    assert not list((tmp_path / "new").iterdir())
    assert socket.getdefaulttimeout() is None


def test_a_server_that_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent_server:
        url = f"http://127.0.0.1:{silent_server.getsockname()[1]}/w.pth"
        with pytest.raises(ModelError, match=r"no data for 0\.5 s|timed out"):
            download(url, tmp_path / "w.pth", patience_s=0.5)
    assert not list(tmp_path.iterdir())


def test_a_name_lookup_that_hangs_is_given_up(tmp_path, monkeypatch):
    released = threading.Event()

    def hang(*_, **__):
        released.wait(20)
        raise socket.gaierror("Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(ModelError, match=r"no data for 0\.2 s"):
        download("http://weights.example/w.pth", tmp_path / "w.pth", patience_s=0.2)
    released.set()


def test_a_download_that_breaks_off_is_refused(tmp_path, server):
    url = server(sending(b"half", promised=8))
    with pytest.raises(ModelError, match="broke off after 4 of 8 bytes"):
        download(url, tmp_path / "w.pth", patience_s=2)
    assert not list(tmp_path.iterdir())


def test_another_file_than_expected_is_refused(tmp_path, server):
    with pytest.raises(ModelError, match="another file than expected"):
        download(server(sending(b"body")), tmp_path / "w.pth", sha256_start="00000000")
    assert not list(tmp_path.iterdir())


def test_a_missing_page_is_told_with_its_code(tmp_path, server):
    def missing(request):
        request.send_error(404)

    with pytest.raises(ModelError, match=r"cannot be downloaded: .*Not Found"):
        download(server(missing), tmp_path / "w.pth")


def test_a_download_can_be_cancelled(tmp_path, server):
    released = threading.Event()
    url = server(stalling(released))

    def cancel(done, message):
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        download(url, tmp_path / "w.pth", patience_s=10, progress=cancel)
    released.set()
    assert not list(tmp_path.iterdir())


def test_progress_tells_the_share_that_has_come(tmp_path, server):
    told = []
    body = b"x" * 3_000_000
    url = server(sending(body))
    download(url, tmp_path / "w.pth", progress=lambda *report: told.append(report))
    assert (tmp_path / "w.pth").read_bytes() == body
    assert told[-1] == (1.0, "downloaded 3.0 MB")


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "vgg16", "densenet121"])
def test_every_backbone_has_an_address_with_a_hash_in_it(name):
    url = weights._download_url(name)
    assert url.startswith("https://")
    assert len(weights._hash_in(url)) == 8


def test_weights_of_the_trunk_do_for_a_fused_network(trained, tmp_path):
    fused = build_backbone("mobilenet_v2_pbffn", seed=1)
    before = {key: value.clone() for key, value in fused.network.fusion.state_dict().items()}
    info = load_weights(fused, saved(trained, tmp_path / "plain.pth"))
    for key, value in fused.trunk.state_dict().items():
        assert torch.equal(value, trained[key])
    assert all(torch.equal(fused.network.fusion.state_dict()[key], before[key]) for key in before)
    assert "untrained" in info.note


def test_a_fused_network_is_saved_whole(tmp_path):
    fused = build_backbone("mobilenet_v2_pbffn", seed=1)
    save_backbone(fused, tmp_path / "whole.safetensors")
    again = build_backbone("mobilenet_v2_pbffn", seed=2)
    info = load_weights(again, tmp_path / "whole.safetensors")
    assert info.sha256 == backbone_sha256(fused)
    assert "untrained" not in info.note


def test_a_fused_network_that_lacks_a_part_is_refused(tmp_path):
    fused = build_backbone("mobilenet_v2_pbffn")
    state = {key: value for key, value in fused.network.state_dict().items() if "gate" not in key}
    with pytest.raises(ModelError, match="3 parameters are missing"):
        load_weights(fused, saved(state, tmp_path / "part.pth"))


def test_a_network_that_nobody_trained_stays_untrained_without_a_download(monkeypatch):
    monkeypatch.setattr(weights, "download", lambda *_, **__: pytest.fail("asked the network"))
    info = load_weights(build_backbone("s_cnn"), None)
    assert info.kind == WeightsKind.UNTRAINED
    assert "nobody publishes weights of s_cnn" in info.note
