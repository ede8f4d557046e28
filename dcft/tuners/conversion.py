"""A trained DCFT or SoRA adapter as a LoRA adapter, exactly: for servers and tools that know LoRA only."""

from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import save_file

from dcft.tuners.factored import FactoredLayer


def save_as_lora(model: PeftModel, folder: str | Path, adapter_name: str = "default") -> None:
    """Write an adapter, heads included, as a LoRA adapter that `PeftModel.from_pretrained` loads.

    The factors of the update become LoRA's B and A, so nothing is approximated. DCFT becomes a LoRA of rank k*d. SoRA
    becomes a LoRA whose rank in each layer is the number of open gates. PEFT's own `convert_to_lora` uses a singular
    value decomposition instead, and loses heads that consist of several layers.

    Args:
        model: a PEFT model with a DCFT or SoRA adapter.
        folder: where to write adapter_model.safetensors and adapter_config.json.
        adapter_name: which adapter.

    Raises:
        ValueError: if the adapter is neither DCFT nor SoRA.
    """
    config: Any = model.peft_config[adapter_name]
    weights = {
        name: tensor.contiguous()
        for name, tensor in get_peft_model_state_dict(model, adapter_name=adapter_name).items()
        if not name.rpartition(".")[2].startswith(model.base_model.prefix)
    }
    ranks, transposed = {}, False
    for name, module in model.named_modules():
        if isinstance(module, FactoredLayer) and module.has(adapter_name):
            left, right = (factor.detach() for factor in module.get_factors(adapter_name))
            used = (left != 0).any(dim=0) & (right != 0).any(dim=1)
            used[0] |= not used.any()  # a LoRA has at least rank 1
            weights[f"{name}.lora_B.weight"] = left[:, used].contiguous()
            weights[f"{name}.lora_A.weight"] = right[used].contiguous()
            ranks[name.removeprefix("base_model.model.")] = int(used.sum())
            transposed |= module.transposed
    if not ranks:
        raise ValueError(f"adapter {adapter_name!r} is neither DCFT nor SoRA; nothing was converted")
    rank = max(ranks.values())
    rank_pattern = {name: layer_rank for name, layer_rank in ranks.items() if layer_rank != rank}
    lora = LoraConfig(
        r=rank,
        lora_alpha=rank,  # the scaling is part of the factors already, so alpha = r
        rank_pattern=rank_pattern,
        alpha_pattern=dict(rank_pattern),
        target_modules=config.target_modules,
        exclude_modules=config.exclude_modules,
        fan_in_fan_out=transposed,
        modules_to_save=config.modules_to_save,
        task_type=config.task_type,
        base_model_name_or_path=config.base_model_name_or_path,
        inference_mode=True,
    )
    lora.save_pretrained(str(folder))
    save_file(weights, Path(folder) / "adapter_model.safetensors", metadata={"format": "pt"})
