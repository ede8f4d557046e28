"""Frozen layers that are no plain `nn.Linear`: GPT-2's transposed ones, quantised ones, and those of a Llama."""

import copy
import json
import os
import re
import subprocess
import sys

import peft
import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.pytorch_utils import Conv1D

from dcft import BottleneckConfig, DcftConfig, SoraConfig, merged, save_as_lora
from dcft.sizes import parameter_count
from dcft.tuners.factored import FactoredLayer
from tests.conftest import ROOT

GPT2_LAYERS = ["c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"]
FACTORED = {
    "dcft": lambda targets, **more: DcftConfig(kernel_size=8, target_modules=targets, **more),
    "sora": lambda targets, **more: SoraConfig(r=4, target_modules=targets, **more),
}
WORDS = torch.arange(10, 22).view(2, 6)


def adapted(model, config):
    """An adapted model, away from the adapter's start."""
    model = peft.get_peft_model(model, config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)
    return model.eval()


def gpt2():
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=8, n_embd=32, n_layer=2, n_head=4)).double().eval()


@pytest.mark.parametrize("kind", FACTORED)
def test_gpt2_is_adapted_as_its_transposed_weights_ask(kind, tmp_path):
    """In float64, against weights that get the update by hand; c_attn is 32 -> 96, c_proj of the attention square."""
    reference = gpt2()
    model = adapted(gpt2(), FACTORED[kind](GPT2_LAYERS)).double()
    bases = {name: module for name, module in reference.named_modules() if isinstance(module, Conv1D)}
    layers = {name: module for name, module in model.named_modules() if isinstance(module, FactoredLayer)}
    assert len(layers) == len(bases) == 8
    with torch.no_grad():
        for (name, base), layer in zip(bases.items(), layers.values(), strict=True):
            left, right = layer.get_factors("default")
            assert (left.shape[0], right.shape[1]) == (base.weight.shape[1], base.weight.shape[0]), name
            base.weight += torch.einsum("or,ri->io", left, right)
        expected = reference(WORDS).logits
        torch.testing.assert_close(model(WORDS).logits, expected)
        before = {name: layer.get_base_layer().weight.clone() for name, layer in layers.items()}
        model.merge_adapter()
        torch.testing.assert_close(model(WORDS).logits, expected)
        model.unmerge_adapter()
        assert all(torch.equal(layer.get_base_layer().weight, before[name]) for name, layer in layers.items())
        save_as_lora(model, tmp_path)
        lora = peft.PeftModel.from_pretrained(gpt2(), tmp_path, autocast_adapter_dtype=False)
        assert json.loads((tmp_path / "adapter_config.json").read_text())["fan_in_fan_out"]
        torch.testing.assert_close(lora.double()(WORDS).logits, expected, atol=1e-5, rtol=1e-5)
        lora.merge_adapter()
        torch.testing.assert_close(lora(WORDS).logits, expected, atol=1e-5, rtol=1e-5)


TUNERS = FACTORED | {
    "bottleneck": lambda targets, **more: BottleneckConfig(target_modules=["output"], **more),
}


def bert():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = BertConfig(**sizes, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    return BertForSequenceClassification(config).eval()


def frozen(model):
    """The backbone's linear layers, by name."""
    found = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return {name: module for name, module in found.items() if ".encoder." in f".{name}"}


def train_and_save(quantised, dequantised, config, folder, rtol=1e-4):
    """Adapters on both give the same outputs and losses; what is trained is saved, and loads again."""
    bare = copy.deepcopy(quantised)
    models = [adapted(quantised, config), adapted(dequantised, config)]
    peft.set_peft_model_state_dict(models[1], peft.get_peft_model_state_dict(models[0]))
    words = WORDS.to(next(quantised.parameters()).device)
    labels = torch.tensor([0, 1], device=words.device)
    losses = []
    for model in models:
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
        losses.append([])
        for _ in range(6):
            loss = model(input_ids=words, labels=labels).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses[-1].append(loss.item())
    assert losses[0][-1] < losses[0][0]
    assert losses[0] == pytest.approx(losses[1], rel=rtol, abs=1e-4)
    model = models[0]
    with torch.no_grad():
        expected = model(words).logits
        with merged(model):  # leaves them as they are
            torch.testing.assert_close(model(words).logits, expected)
        model.save_pretrained(folder)
        again = peft.PeftModel.from_pretrained(bare, folder).eval()
        torch.testing.assert_close(again(words).logits, expected)
    return model


@pytest.mark.slow
def test_int8_weights_in_an_environment_with_torchao(tmp_path):
    """The tests below, where torchao is: PEFT imports it into every process, so it lies in a folder of its own."""
    install = ["install", "-q", "--no-deps", "--target", tmp_path, "-c", ROOT / "constraints.txt", "torchao"]
    if subprocess.run([sys.executable, "-m", "pip", *install], capture_output=True).returncode:
        pytest.skip("pip cannot install torchao")
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", __file__, "-k", "of_torchao"]
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert re.search(r"[1-9]\d* passed", ended.stdout), ended.stdout
    assert not re.search("failed|skipped", ended.stdout.splitlines()[-1]), ended.stdout


@pytest.mark.parametrize("kind", TUNERS)
def test_int8_weights_of_torchao_are_trained_on_and_never_written(kind, tmp_path):
    quantization = pytest.importorskip("torchao.quantization", reason='pip install -c constraints.txt ".[quantised]"')
    model, plain = bert(), bert()
    layers = frozen(model)
    quantization.quantize_(model, quantization.Int8WeightOnlyConfig(), filter_fn=lambda _, name: name in layers)
    with torch.no_grad():
        for layer, quantised in zip(frozen(plain).values(), frozen(model).values(), strict=True):
            assert not torch.equal(layer.weight, quantised.weight.dequantize())
            layer.weight.copy_(quantised.weight.dequantize())
    targets = ["query", "key", "value", "intermediate.dense", "output.dense"]
    model = train_and_save(model, plain, TUNERS[kind](targets, task_type="SEQ_CLS"), tmp_path)
    with pytest.raises((TypeError, ValueError), match="takes no update|cannot be merged"):
        model.merge_adapter()


@pytest.mark.gpu
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("kind", TUNERS)
def test_bitsandbytes_weights_are_trained_on_and_never_written(kind, bits, tmp_path):
    pytest.importorskip("bitsandbytes")
    from peft.utils.integrations import dequantize_module_weight
    from transformers import BitsAndBytesConfig

    bert().save_pretrained(tmp_path / "bert")
    settings = BitsAndBytesConfig(**{f"load_in_{bits}bit": True}, llm_int8_skip_modules=["classifier", "pooler"])
    load = BertForSequenceClassification.from_pretrained
    model = load(tmp_path / "bert", quantization_config=settings, device_map={"": 0}, dtype=torch.float32).eval()
    plain = bert().cuda()
    with torch.no_grad():
        for layer, quantised in zip(frozen(plain).values(), frozen(model).values(), strict=True):
            layer.weight.copy_(dequantize_module_weight(quantised))
    targets = ["query", "key", "value", "intermediate.dense", "output.dense"]
    config = TUNERS[kind](targets, task_type="SEQ_CLS")
    model = train_and_save(model, plain, config, tmp_path / "adapter", rtol=0.05)  # its products are in lower precision
    with pytest.raises((TypeError, ValueError), match="takes no update|cannot be merged"):
        model.merge_adapter()


def test_the_files_for_peft_s_comparison_are_read_as_dcft(tmp_path):
    """On a Llama of the widths of Llama-3.2-3B with one of its 28 layers, on the meta device."""
    page = (ROOT / "docs" / "library.md").read_text()
    adapter, training = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert set(json.loads(training)["optimizer_kwargs"]) == {"lr", "weight_decay"}
    (tmp_path / "adapter_config.json").write_text(adapter)
    config = peft.PeftConfig.from_pretrained(tmp_path)
    assert isinstance(config, DcftConfig)
    assert (config.kernel_size, config.task_type) == (8, "CAUSAL_LM")
    sizes = {"hidden_size": 3072, "intermediate_size": 8192, "num_attention_heads": 24, "num_key_value_heads": 8}
    with torch.device("meta"):
        model = peft.get_peft_model(LlamaForCausalLM(LlamaConfig(**sizes, num_hidden_layers=1)), config)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trained == parameter_count(3072, 3072, 8, 8) + parameter_count(3072, 1024, 8, 8)


def test_checkpointed_layers_have_the_same_gradients():
    """The factors that a forward pass builds for all layers are gone when a layer is computed again."""
    config = DcftConfig(task_type="SEQ_CLS", kernel_size=8, target_modules=["query", "value", "output.dense"])
    model = adapted(bert(), config).train()

    def gradients():
        model.zero_grad()
        model(WORDS, labels=torch.tensor([0, 1])).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}

    expected = gradients()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    torch.testing.assert_close(gradients(), expected)
