"""A trained DCFT adapter as a LoRA adapter, exactly: for servers and tools that know LoRA only."""

from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import save_file

from dcft.tuners.dcft import DcftLayer


def save_as_lora(model: PeftModel, folder: str | Path, adapter_name: str = "default") -> None:
    """Write a DCFT adapter, heads included, as a LoRA adapter of rank k*d that `PeftModel.from_pretrained` loads.

    The factors of the update (`dcft.deconvolution.factors`) are LoRA's B and A, so nothing is approximated. PEFT's own
    `convert_to_lora` works too, by a singular value decomposition, but loses heads that consist of several layers.

    Args:
        model: a PEFT model with a DCFT adapter.
        folder: where to write adapter_model.safetensors and adapter_config.json.
        adapter_name: which adapter.
    """
    config = model.peft_config[adapter_name]
    weights = {
        name: tensor.contiguous()
        for name, tensor in get_peft_model_state_dict(model, adapter_name=adapter_name).items()
        if not name.rpartition(".")[2].startswith("dcft_")
    }
    for name, module in model.named_modules():
        if isinstance(module, DcftLayer) and adapter_name in module.dcft_A:
            left, right = module.get_factors(adapter_name)
            weights[f"{name}.lora_B.weight"] = left.detach().contiguous()
            weights[f"{name}.lora_A.weight"] = right.detach().contiguous()
    rank = config.rank * config.kernel_size
    lora = LoraConfig(
        r=rank,
        lora_alpha=rank,  # the scaling is part of the factors already
        target_modules=config.target_modules,
        exclude_modules=config.exclude_modules,
        modules_to_save=config.modules_to_save,
        task_type=config.task_type,
        base_model_name_or_path=config.base_model_name_or_path,
        inference_mode=True,
    )
    lora.save_pretrained(str(folder))
    save_file(weights, Path(folder) / "adapter_model.safetensors", metadata={"format": "pt"})
