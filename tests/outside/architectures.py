"""The networks that `tombola.from_torch` is tried on: a constructor and the shape of one image for each.

All have 10 classes, random weights and nothing that is dropped at random, so that PyTorch and Tombola can be compared value by
value. Images are as small as the network takes them. Nothing is fetched. Needs torch, torchvision and timm.
"""

CLASSES = 10


def _vision(name, size=32, **more):
    """One of torchvision."""

    def make():
        import torchvision

        return getattr(torchvision.models, name)(weights=None, num_classes=CLASSES, **more)

    return make, (3, size, size)


def _timm(name, size=64, **more):
    """One of timm."""

    def make():
        import timm

        return timm.create_model(name, pretrained=False, num_classes=CLASSES, **more)

    return make, (3, size, size)


ARCHITECTURES = {
    "resnet18": _vision("resnet18"),
    "resnet50": _vision("resnet50"),
    "wide_resnet50_2": _vision("wide_resnet50_2"),
    "resnext50_32x4d": _vision("resnext50_32x4d"),
    "vgg11": _vision("vgg11"),
    "vgg16_bn": _vision("vgg16_bn"),
    "alexnet": _vision("alexnet", 64),
    "squeezenet1_1": _vision("squeezenet1_1", 64),
    "densenet121": _vision("densenet121"),
    "googlenet": _vision("googlenet", 64, aux_logits=False, init_weights=False),
    "inception_v3": _vision("inception_v3", 96, aux_logits=False, init_weights=False),
    "mobilenet_v2": _vision("mobilenet_v2"),
    "mobilenet_v3_small": _vision("mobilenet_v3_small"),
    "mobilenet_v3_large": _vision("mobilenet_v3_large"),
    "mnasnet0_5": _vision("mnasnet0_5"),
    "efficientnet_b0": _vision("efficientnet_b0"),
    "efficientnet_v2_s": _vision("efficientnet_v2_s"),
    "regnet_x_400mf": _vision("regnet_x_400mf"),
    "regnet_y_400mf": _vision("regnet_y_400mf"),
    "shufflenet_v2_x0_5": _vision("shufflenet_v2_x0_5"),
    "convnext_tiny": _vision("convnext_tiny"),
    "vit_b_16": _vision("vit_b_16", 32, image_size=32),
    "swin_t": _vision("swin_t", 64),
    "swin_v2_t": _vision("swin_v2_t", 64),
    "maxvit_t": _vision("maxvit_t", 224),
    "deit_tiny": _timm("deit_tiny_patch16_224", 32, img_size=32),
    "mixer_s16": _timm("mixer_s16_224", 32, img_size=32),
    "poolformer_s12": _timm("poolformer_s12", 32),
    "ghostnet_100": _timm("ghostnet_100", 96),
    "repvgg_a0": _timm("repvgg_a0", 32),
    "levit_128s": _timm("levit_128s", 64, img_size=64),
    "mobilevit_xxs": _timm("mobilevit_xxs", 64),
    "efficientformer_l1": _timm("efficientformer_l1", 224),
    "res2net50_26w_4s": _timm("res2net50_26w_4s", 32),
    "dla34": _timm("dla34", 32),
    "hrnet_w18_small": _timm("hrnet_w18_small", 32),
    "xception41": _timm("xception41", 32),
    "legacy_xception": _timm("legacy_xception", 64),
    "nfnet_l0": _timm("nfnet_l0", 32),
    "gmlp_s16": _timm("gmlp_s16_224", 32, img_size=32),
    "resmlp_12": _timm("resmlp_12_224", 32, img_size=32),
    "fastvit_t8": _timm("fastvit_t8", 64),
    "cspresnet50": _timm("cspresnet50", 32),
    "cspdarknet53": _timm("cspdarknet53", 32),
    "ese_vovnet19b_dw": _timm("ese_vovnet19b_dw", 64),
    "pvt_v2_b0": _timm("pvt_v2_b0", 32),
    "twins_svt_small": _timm("twins_svt_small", 64, img_size=64),
    "crossvit_9": _timm("crossvit_9_240", 240),
    "convmixer_768_32": _timm("convmixer_768_32", 28),
    "coat_lite_tiny": _timm("coat_lite_tiny", 64, img_size=64),
    "seresnet18": _timm("legacy_seresnet18", 128),
    "skresnet18": _timm("skresnet18", 32),
    "resnest14d": _timm("resnest14d", 32),
    "edgenext_xx_small": _timm("edgenext_xx_small", 32),
    "cait_xxs24": _timm("cait_xxs24_224", 32, img_size=32),
    "xcit_nano_12_p8": _timm("xcit_nano_12_p8_224", 32, img_size=32),
    "convit_tiny": _timm("convit_tiny", 32, img_size=32),
    "visformer_tiny": _timm("visformer_tiny", 32, img_size=32),
    "beit_base": _timm("beit_base_patch16_224", 32, img_size=32),
    "pit_ti": _timm("pit_ti_224", 64, img_size=64),
    "coatnet_0": _timm("coatnet_0_rw_224", 64, img_size=64),
    "focalnet_tiny": _timm("focalnet_tiny_srf", 32),
    "davit_tiny": _timm("davit_tiny", 64),
    "mobilenetv4_conv_small": _timm("mobilenetv4_conv_small", 32),
    "rexnet_100": _timm("rexnet_100", 32),
    "dpn68": _timm("dpn68", 32),
    "resnetv2_50": _timm("resnetv2_50", 32),
    "mobileone_s0": _timm("mobileone_s0", 32),
    "repvit_m0_9": _timm("repvit_m0_9", 32),
    "hiera_tiny": _timm("hiera_tiny_224", 64, img_size=64),
    "eva02_tiny": _timm("eva02_tiny_patch14_224", 56, img_size=56),
    "efficientvit_b0": _timm("efficientvit_b0", 64),
    "nest_tiny": _timm("nest_tiny", 128, img_size=128),
    "caformer_s18": _timm("caformer_s18", 32),
    "botnet26t": _timm("botnet26t_256", 128, img_size=128),
    "nextvit_small": _timm("nextvit_small", 64),
    "mambaout_femto": _timm("mambaout_femto", 32),
    "starnet_s1": _timm("starnet_s1", 32),
    "swinv2_tiny": _timm("swinv2_tiny_window8_256", 64, img_size=64),
    "ecaresnet26t": _timm("ecaresnet26t", 64),
    "sequencer2d_s": _timm("sequencer2d_s", 64, img_size=64),
    "volo_d1": _timm("volo_d1_224", 64, img_size=64),
    "mvitv2_tiny": _timm("mvitv2_tiny", 64, img_size=64),
    "tiny_vit_5m": _timm("tiny_vit_5m_224", 64),
}

# Large or slow ones, which are not compared each time.
SLOW = {
    "resnet50", "wide_resnet50_2", "resnext50_32x4d", "vgg11", "vgg16_bn", "alexnet", "densenet121", "inception_v3", "efficientnet_v2_s",
    "convnext_tiny", "vit_b_16", "swin_t", "swin_v2_t", "maxvit_t", "mixer_s16", "ghostnet_100", "efficientformer_l1", "res2net50_26w_4s",
    "hrnet_w18_small", "xception41", "legacy_xception", "gmlp_s16", "resmlp_12", "cspresnet50", "cspdarknet53", "twins_svt_small",
    "crossvit_9", "convmixer_768_32", "seresnet18", "cait_xxs24", "beit_base", "coatnet_0", "focalnet_tiny", "davit_tiny", "dpn68",
    "resnetv2_50", "mobileone_s0", "hiera_tiny", "eva02_tiny", "nest_tiny", "caformer_s18", "nextvit_small", "swinv2_tiny",
}

# Those that are refused, and words of the reason.
REFUSED = {
    "nfnet_l0": "`batch_norm` normalises weights",
    "sequencer2d_s": "`lstm` is no operation of Tombola",
    "volo_d1": "`im2col` is no operation of Tombola",
    "mvitv2_tiny": "`copy_` writes into a part of a tensor",
    "coat_lite_tiny": "reads the parameter `serial_blocks1.1.cpe.proj.weight` again",
}


def make(name):
    """The model, its weights drawn from seed 0, and the shape of one image."""
    import torch

    constructor, shape = ARCHITECTURES[name]
    torch.manual_seed(0)
    model = constructor()
    for module in model.modules():
        for rate in {"Dropout": ["p"], "Dropout2d": ["p"], "StochasticDepth": ["p"], "DropPath": ["drop_prob"]}.get(type(module).__name__, ()):
            setattr(module, rate, 0.0)
        if isinstance(getattr(module, "drop_rate", None), float):
            module.drop_rate = 0.0
    return model, shape
