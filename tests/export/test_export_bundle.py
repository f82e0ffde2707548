"""What scripts/export_bundle.py promises: run with the environment of scripts/requirements-dev.txt."""

import hashlib
import json
import tempfile
import unittest
from pathlib import Path

import torch
from diffusers import DDIMScheduler

from steplapse_export import programs
from steplapse_export.exporter import ExportOptions, export_bundle
from steplapse_export.programs import ExportError
from steplapse_export.tiny.emoji import make_tiny_pipeline

TEXT = {"name": "tiny", "source": "random weights, made for the tests", "licence": "Apache-2.0"}


class NamesADevice(torch.nn.Module):
    def forward(self, x):
        return x + torch.arange(x.shape[-1], device="cpu")


class CarriesATensor(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = [torch.tensor([1.0, 2.0])]  # in a list, where no parameter or buffer is seen

    def forward(self, x):
        return x + self.hidden[0]


class Export(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pipeline = make_tiny_pipeline()
        cls.folder = tempfile.TemporaryDirectory()
        cls.work = Path(cls.folder.name)
        cls.bundle = cls.work / "tiny"
        export_bundle(cls.pipeline, cls.bundle, ExportOptions(store="float32", **TEXT))
        cls.manifest = json.loads((cls.bundle / "model.json").read_text())

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_manifest_lists_every_file_with_size_and_hash(self):
        files = {path.name: path.read_bytes() for path in self.bundle.iterdir() if path.name != "model.json"}
        self.assertEqual(
            self.manifest["files"],
            {
                name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in files.items()
            },
        )

    def test_noise_table_is_the_schedulers_to_the_bit(self):
        table = torch.tensor(self.manifest["training_noise"]["alphas_cumprod"], dtype=torch.float32)
        self.assertTrue(torch.equal(table, self.pipeline.scheduler.alphas_cumprod))

    def test_archives_hold_no_weights_and_no_paths(self):
        for archive in self.bundle.glob("*.pt"):
            records = torch._C.PyTorchFileReader(str(archive))
            for record in records.get_all_records():
                if record.startswith("data/"):
                    self.assertEqual(len(records.get_record(record)), 0, f"{archive.name}: {record}")
                self.assertNotIn(b"site-packages", records.get_record(record), f"{archive.name}: {record}")

    @torch.no_grad()
    def test_programs_run_where_their_inputs_are(self):
        # Without a GPU, the meta device tells: mixing it with a tensor left on the CPU is an error.
        inputs = {
            "denoiser": (torch.zeros(3, 4, 4, 4), torch.zeros(3), torch.zeros(3, 20, 16)),
            "text_encoder": (torch.zeros(3, 1, 20, dtype=torch.int64), torch.ones(3, 1, 20)),
            "decoder_full": (torch.zeros(3, 4, 4, 4),),
            "decoder_linear": (torch.zeros(3, 4, 4, 4),),
        }
        for name, values in inputs.items():
            program = programs.load_program(
                self.bundle / f"{name}.pt", [self.bundle / f"{name}.safetensors"], torch.float32, "meta"
            )
            answer = program(*(value.to("meta") for value in values))
            answer = answer[0] if isinstance(answer, tuple) else answer
            self.assertEqual(answer.device.type, "meta", name)
            self.assertEqual(len(answer), 3, name)

    @torch.no_grad()
    def test_token_weights_keep_the_mean(self):
        program = programs.load_program(
            self.bundle / "text_encoder.pt", [self.bundle / "text_encoder.safetensors"], torch.float32
        )
        ids = self.pipeline.tokenizer(["red apple"])[None]
        weights = torch.ones(1, 1, 20)
        weights[..., 1] = 1.5
        (plain,), (weighted,) = program(ids, torch.ones(1, 1, 20)), program(ids, weights)
        self.assertGreater((plain - weighted).abs().max().item(), 1e-3)
        self.assertAlmostEqual(plain.mean().item(), weighted.mean().item(), places=6)

    def test_an_existing_folder_is_refused_and_untouched(self):
        before = (self.bundle / "model.json").read_bytes()
        with self.assertRaises(ExportError) as caught:
            export_bundle(self.pipeline, self.bundle, ExportOptions(**TEXT))
        self.assertEqual(str(caught.exception), f"{self.bundle} exists already")
        self.assertEqual((self.bundle / "model.json").read_bytes(), before)

    def test_only_a_bundle_is_replaced(self):
        other = self.work / "letters"
        other.mkdir()
        with self.assertRaises(ExportError) as caught:
            export_bundle(self.pipeline, other, ExportOptions(replace=True, **TEXT))
        self.assertEqual(str(caught.exception), f"{other} is no bundle to replace: it has no model.json")

    def test_what_fails_leaves_no_folder(self):
        pipeline = make_tiny_pipeline()
        pipeline.scheduler = DDIMScheduler(thresholding=True)
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaises(ExportError) as caught:
                export_bundle(pipeline, Path(folder) / "out", ExportOptions(**TEXT))
            self.assertIn("thresholding", str(caught.exception))
            self.assertEqual(list(Path(folder).iterdir()), [])

    def refusal_of(self, module, name):
        path = self.work / f"{name}.pt"
        torch.jit.trace(module, torch.zeros(2)).save(str(path))
        with self.assertRaises(ExportError) as caught:
            programs.refuse_constants(path)
        return str(caught.exception)

    def test_a_program_that_names_a_device_is_refused(self):
        self.assertIn("names a device", self.refusal_of(NamesADevice(), "device"))

    def test_a_program_that_carries_a_tensor_is_refused(self):
        self.assertEqual(
            self.refusal_of(CarriesATensor(), "tensor"), "tensor.pt carries a tensor of shape [2] in its code"
        )


if __name__ == "__main__":
    unittest.main()
