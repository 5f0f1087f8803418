from pathlib import Path

from bakehouse.drivers.hypervisor.fake import FakeHypervisor


async def test_files_of_others_in_its_directory_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "volumes.json").write_text("[]", encoding="ascii")

    assert await FakeHypervisor(tmp_path).observe() == ()
