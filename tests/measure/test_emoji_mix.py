"""scripts/emoji_mix: what the mixing model is taught, what is kept from it, and how it starts."""

import argparse
import random
import re
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from emoji import train as emoji_64
from emoji.train import Conditioned
from emoji_mix import colours, dataset, evaluate, judge, networks, scenes, things, train
from emoji_mix.captions import Captions, plural, with_article
from emoji_mix.pictures import Pictures
from emoji_mix.prompts import taught_prompts
from emoji_mix.scenes import Part, Scene
from emoji_mix.wordnet import WordNet
from harness import ROOT
from steplapse_export.programs import load_program

all_things = cache(things.load_things)


@cache
def wordnet():
    return WordNet()


# --- held out ---------------------------------------------------------------------------------------------------------


def test_held_out_mixtures_are_those_of_the_seed_and_all_unlike():
    held_out = scenes.read_held_out()
    assert held_out == scenes.draw_held_out(all_things(), seed=1)
    assert len(set(held_out)) == len(held_out) >= 200


def combinations_in_draws(held_out: set[tuple], count: int) -> set[tuple]:
    sampler, rng = scenes.Sampler(all_things(), held_out), random.Random(5)
    return set().union(*(sampler.sample(rng).combinations() for _ in range(count)))


def test_nothing_held_out_is_in_200_000_scenes():
    held_out = set(scenes.read_held_out())
    assert len(combinations_in_draws(set(), 20_000) & held_out) > 20  # they would be, else
    assert not combinations_in_draws(held_out, 200_000) & held_out


def test_no_caption_of_a_training_scene_asks_for_a_held_out_mixture():
    source = dataset.Scenes(1, set(scenes.read_held_out()))
    forbidden = {evaluate.caption_of(scenes.scene_of(combination)) for combination in scenes.read_held_out()}
    forbidden |= {re.sub(r"^an? ", "", caption) for caption in forbidden}
    for i in range(20_000):
        rng = random.Random(i)
        scene = source.sampler.sample(rng)
        drawing, colour = source.pictures.choose(scene.parts[0], rng)
        assert source.captions.sample(scene, drawing if colour is None else None, rng) not in forbidden


@pytest.mark.parametrize("combination", [("colour", "car", "red"), ("pair", "cat", "dog"), ("count", "cat", 2)])
def test_the_least_scene_of_a_combination_has_that_one_alone(combination):
    assert scenes.scene_of(combination).combinations() == {combination}


def test_a_pair_is_held_out_in_either_order():
    assert Scene((Part("dog"), Part("cat"))).combinations() == Scene((Part("cat"), Part("dog"))).combinations()


def test_a_scene_comes_back_from_json():
    for scene in (Scene((Part("car"),)), Scene((Part("car", "red"), Part("cat")), background="blue", on_fire=True)):
        assert scenes.from_json(scenes.as_json(scene)) == scene


# --- things -----------------------------------------------------------------------------------------------------------


def test_each_noun_and_each_drawing_is_there_once():
    characters = [drawing.character for thing in all_things() for drawing in thing.drawings]
    nouns = [thing.noun for thing in all_things()]
    assert len(set(characters)) == len(characters) and len(set(nouns)) == len(nouns)


def test_no_word_means_two_things():
    words = [word for thing in all_things() for word in (thing.noun, *thing.words)]
    assert sorted(words) == sorted(set(words))


def test_synonyms_mean_first_of_all_the_same():
    assert {"auto", "automobile"} <= set(wordnet().synonyms("car"))
    assert "machine" not in wordnet().synonyms("car")  # a car is a machine, and a machine is first of all no car


def test_hearts_are_one_thing_in_colours():
    (heart,) = (thing for thing in all_things() if thing.noun == "heart")
    assert {drawing.colour: drawing.character for drawing in heart.drawings}["blue"] == "💙"


def test_every_word_of_a_caption_is_among_the_taught_prompts():
    prompts = taught_prompts(all_things())
    taught = set(" ".join(" ".join([prompt["name"], *prompt["keywords"]]) for prompt in prompts).split())
    source = dataset.Scenes(1, set())
    plurals = {word for thing in all_things() for noun in (thing.noun, *thing.words) for word in plural(noun).split()}
    for i in range(3000):
        rng = random.Random(i)
        scene = source.sampler.sample(rng)
        drawing, colour = source.pictures.choose(scene.parts[0], rng)
        caption = source.captions.sample(scene, drawing if colour is None else None, rng)
        assert set(caption.replace(",", "").split()) <= taught | plurals, caption


# --- colours ----------------------------------------------------------------------------------------------------------


def test_oklab_has_the_values_that_its_author_gives():
    # Ottosson's table of XYZ and Lab, and the primary red as CSS Color 4 has it.
    assert colours.to_oklab(np.ones(3)) == pytest.approx([1, 0, 0], abs=1e-3)
    assert colours.to_oklab(np.array([1.0, 0, 0])) == pytest.approx([0.62796, 0.22486, 0.12585], abs=1e-4)


def test_oklab_and_back_is_where_it_was():
    rgb = np.random.default_rng(0).random((100, 3))
    assert colours.from_oklab(colours.to_oklab(rgb)) == pytest.approx(rgb, abs=1e-4)


def test_a_turned_drawing_has_the_hue_of_the_word_and_keeps_its_greys():
    (car,) = (thing.drawings[0] for thing in all_things() if thing.noun == "car")
    before = colours.to_oklab(car.master[..., :3] / 255)
    grey = (np.hypot(before[..., 1], before[..., 2]) < 0.02) & (car.master[..., 3] > 128)
    assert grey.sum() > 100
    for word in ("green", "blue", "purple"):
        turned = colours.turned(car.master, car.main, word)
        assert colours.main_colour(turned).hue == pytest.approx(colours.COLOURS[word][2], abs=12)
        assert abs(turned[grey].astype(int) - car.master[grey]).max() <= 1


def test_a_grey_drawing_takes_a_colour_too():
    (elephant,) = (thing.drawings[0] for thing in all_things() if thing.noun == "elephant")
    assert elephant.main.hue is None
    pink = colours.main_colour(colours.turned(elephant.master, elephant.main, "pink"))
    assert abs(colours._apart(np.array(pink.hue), colours.COLOURS["pink"][2])) < 12


# --- pictures ---------------------------------------------------------------------------------------------------------


def drawn(scene: Scene, seed: int = 0) -> np.ndarray:
    return np.asarray(Pictures(all_things()).draw(scene, random.Random(seed))[0]).astype(int)


def marked(picture: np.ndarray) -> np.ndarray:
    return abs(picture - 255).sum(-1) > 60


@pytest.mark.parametrize("count", [1, 2, 3])
def test_so_many_circles_are_so_many_spots(count):
    for seed in range(20):
        assert ndimage.label(marked(drawn(Scene((Part("circle", "red"),), count=count), seed)))[1] == count


def test_left_is_left_and_small_is_smaller_than_big():
    def middle(side):
        return ndimage.center_of_mass(marked(drawn(Scene((Part("circle"),), side=side))))[1]

    def area(size):
        return marked(drawn(Scene((Part("circle"),), size=size))).sum()

    assert middle("left") < 28 and middle("right") > 36
    assert 3 * area("small") < area(None) < area("big")


def test_the_first_of_a_pair_is_on_the_left():
    picture = drawn(Scene((Part("circle", "red"), Part("circle", "blue"))))
    reds, blues = picture[..., 0] - picture[..., 2] > 100, picture[..., 2] - picture[..., 0] > 100
    assert ndimage.center_of_mass(reds)[1] < 32 < ndimage.center_of_mass(blues)[1]


def test_a_background_fills_the_corner():
    assert tuple(drawn(Scene((Part("cat"),), background="green"))[0, 0]) == colours.rgb_of("green")


def test_seeds_differ_in_place_size_and_side():
    pictures = [drawn(Scene((Part("snail"),)), seed) for seed in range(8)]
    boxes = {tuple(np.argwhere(marked(picture)).min(0)) for picture in pictures}
    assert len(boxes) > 4


def test_a_clock_is_never_mirrored():
    (watch,) = (thing for thing in all_things() if thing.noun == "watch")
    assert not watch.drawings[0].mirrors


# --- captions ---------------------------------------------------------------------------------------------------------


def captions_of(scene: Scene, count: int = 300) -> set[str]:
    captions = Captions(all_things())
    drawing = captions.things[scene.parts[0].noun].drawings[0]
    return {captions.sample(scene, drawing, random.Random(i)) for i in range(count)}


def test_a_red_car_is_worded_in_many_ways():
    assert {"a red car", "red car", "car, red", "a photo of a red car", "the red car"} <= captions_of(
        Scene((Part("car", "red"),))
    )


def test_a_car_is_called_by_its_name_its_character_and_its_synonyms():
    assert {"automobile", "🚗", "a car", "auto"} <= captions_of(Scene((Part("car"),)), 1000)


@pytest.mark.parametrize(
    "noun, many",
    [
        ("mouse", "mice"),
        ("glasses", "glasses"),
        ("glass of milk", "glasses of milk"),
        ("octopus", "octopuses"),
        ("fish", "fish"),
    ],
)
def test_plurals(noun, many):
    assert plural(noun) == many


def test_articles():
    assert with_article("orange hat", "hat") == "an orange hat"
    assert with_article("blue glasses", "glasses") == "blue glasses"
    assert with_article("fish", "fish") == "a fish"


def test_the_tokenizer_knows_each_character_and_folds_case():
    captions = Captions(all_things())
    tokenizer = networks.train_tokenizer(*train.words(all_things(), captions, count=3000))
    pieces = tokenizer.processor
    for thing in all_things():
        for drawing in thing.drawings:
            assert pieces.encode(drawing.character, out_type=str)[-1] == drawing.character
    assert pieces.encode("❤️", out_type=str)[-1] == "❤️"
    assert pieces.encode("A RED Car") == pieces.encode("a red car")


# --- judge ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scene, verdict, thing, attribute",
    [
        (Scene((Part("car", "red"),)), (("car", "cat"), "red", "1", None), True, True),
        (Scene((Part("car", "red"),)), (("car", "cat"), "blue", "1", None), True, False),
        (Scene((Part("car", "red"),)), (("cat", "car"), "red", "1", None), False, True),
        (Scene((Part("cat"),), count=2), (("cat", "car"), "red", "2", None), True, True),
        (Scene((Part("cat"),), count=2), (("cat", "car"), "red", "3", None), True, False),
        (Scene((Part("cat"), Part("dog"))), (("dog", "cat"), "red", "pair", None), True, True),
        (Scene((Part("cat"), Part("dog"))), (("dog", "car"), "red", "pair", None), False, True),
        (Scene((Part("cat"),), background="blue"), (("cat", "car"), "red", "1", "green"), True, False),
    ],
)
def test_a_verdict_is_right_where_things_and_attributes_are(scene, verdict, thing, attribute):
    assert evaluate.right(scene, judge.Verdict(*verdict)) == (thing, attribute)


def test_the_judge_learns_a_few_scenes_by_heart():
    source = dataset.Scenes(1, set())
    nouns = [thing.noun for thing in source.things]
    torch.manual_seed(0)
    model = judge.Judge(len(nouns), channels=(8, 16, 16, 32))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    images, told = source.images(range(8)), [source[i][0] for i in range(8)]
    first = judge.loss(model(images), told, nouns)[0].item()
    for _ in range(60):
        optimizer.zero_grad()
        judge.loss(model(images), told, nouns)[0].backward()
        optimizer.step()
    assert judge.loss(model(images), told, nouns)[0].item() < first / 10


# --- training ---------------------------------------------------------------------------------------------------------


def test_a_scene_of_a_number_is_the_same_each_time():
    source = dataset.Scenes(1, set())
    again = dataset.Scenes(1, set())
    assert source[5][0] == again[5][0] and torch.equal(source.images([5, 6]), again.images([5, 6]))


def test_a_denoiser_starts_from_a_bundle_with_that_bundle_s_answers():
    folder = ROOT / "models/emoji-64"
    start = train.start_of(folder)
    model = emoji_64_model(len(start.tokenizer))
    train.load_start(model, start)
    ids = start.tokenizer(["red apple"])
    latents = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    text_encoder, denoiser = (
        load_program(folder / f"{name}.pt", [folder / f"{name}.safetensors"], torch.float32)
        for name in ("text_encoder", "denoiser")
    )
    with torch.no_grad():
        conditioning = text_encoder(ids[:, None], torch.ones(1, 1, ids.shape[1]))
        wanted = denoiser(latents, torch.tensor([500.0]), *conditioning)
        answer = model(latents, torch.tensor([500.0]), ids)
    assert torch.allclose(answer, wanted, atol=1e-4)


def emoji_64_model(vocabulary: int) -> Conditioned:
    from transformers import CLIPTextConfig, CLIPTextModel

    text = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=20,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return Conditioned(emoji_64.new_unet(), CLIPTextModel(text)).eval()


def stage(work, **more) -> argparse.Namespace:
    common = {"device": torch.device("cpu"), "seed": 1, "workers": 1, "minutes": None, "steps": 1, "average": 0.9}
    return argparse.Namespace(work=work, **{**common, **more})


def test_the_stages_lead_from_scenes_to_a_pipeline_that_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "PART", 64)
    monkeypatch.setattr(train, "UNSEEN", 0)
    monkeypatch.setattr(dataset.Scenes, "images", few_images(dataset.Scenes.images))
    train.train_autoencoder(stage(tmp_path, batch=2, rate=1e-3, kl=1e-4, squares=1.0))
    train.encode_scenes(stage(tmp_path, first=0, parts=2))
    mean, std, told = dataset.read_parts(tmp_path / "scenes")
    assert mean.shape == std.shape == (128, 12, 8, 8) and len(told) == 128
    source = train.scenes_of(stage(tmp_path))
    assert [scene for scene, _ in told] == [source[i][0] for i in range(128)]
    train.train_tiny(stage(tmp_path, batch=2, rate=1e-3, squares=1.0))
    denoiser = {"batch": 4, "rate": 1e-3, "start": None, "save_minutes": 5}
    train.train_denoiser(stage(tmp_path, **denoiser))
    pipeline = train.Pipeline.from_pretrained(tmp_path / "pipeline")
    assert emoji_64.generate(pipeline, ["a red car"], steps=2, guidance_scale=2.0).shape == (1, 3, 64, 64)
    # From that pipeline's weights, a step of no rate leads to the same weights.
    (tmp_path / "denoiser.pt").unlink()
    train.train_denoiser(stage(tmp_path, **{**denoiser, "rate": 0.0, "start": tmp_path / "pipeline"}))
    again = train.Pipeline.from_pretrained(tmp_path / "pipeline")
    for name, weight in again.unet.state_dict().items():
        assert torch.allclose(weight, pipeline.unet.state_dict()[name]), name


def few_images(images):
    return lambda self, indices: images(self, list(indices)[:16])


def test_latents_of_other_scenes_are_asked_for_by_name(tmp_path):
    with pytest.raises(SystemExit, match=re.escape(f"{tmp_path}/scenes: no latents of scenes; make them with")):
        dataset.read_parts(tmp_path / "scenes")


def test_a_sheet_of_untaught_prompts_has_a_hundred():
    prompts = evaluate.UNTAUGHT.read_text().split("\n")
    names = {drawing.name for thing in all_things() for drawing in thing.drawings}
    assert len([prompt for prompt in prompts if prompt]) == 100
    assert not set(prompts) & names


def test_a_picture_is_read_as_the_networks_write_it(tmp_path):
    from emoji_mix.drawing import read

    Image.new("RGB", (64, 64), (255, 0, 0)).save(tmp_path / "red.png")
    assert read(tmp_path / "red.png")[:, 0, 0] == pytest.approx([1, -1, -1])
