//! Every setting, once: its flag, its key in a sweep file, its column, its help text, its default, its bounds and
//! whether it decides the outcome of a training.
//!
//! A new setting is one entry below and nothing else. It may not know of files, flags or torch.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::own_data::OwnData;
use super::rates::{meant_rate, rate_of, ratio_after};
use bounds::{
    DEPTHS, DEVIATIONS, FAILS, FINE_TUNE, HALVINGS, HIDDEN, ITERATIONS, LEVELS, MEANS, MEGABYTES, RATES, SECONDS,
    SHARE, SPANS, UP_TO, WIDTHS, WORKERS,
};

use crate::net::zoo::{self, Choice};
use tombola_words::error::Result;
use tombola_words::value::{
    Augment, Budget, ChannelNumbers, ClassWeights, Control, Criterion, DecayOn, EarlyBirdRule, Find, Head, ImageFilter,
    Keep, LastBatch, LayerPattern, LayerRatios, LayerSet, Load, MaybeTarget, Moment, NamedFile, NormStart, OnFail,
    Optimizer, Point, Precision, PruneLayers, PruningType, PublishedPixels, Rewind, Role, Schedule, ScheduleBy, Scope,
    Select, SettingKeys, Shard, ShortcutOption, Streams, TrackMasks, Value, WhileTraining, Within,
};

macro_rules! settings {
    ($(group $group:literal $decides:ident {
        $($(#[doc = $doc:literal])+ $key:literal $([$($alias:literal),*])? => $field:ident: $type:ty = $default:expr
            $(, in $range:expr, $bounds:literal)? $(, if $matters:expr)?;)*
    })*) => {
        /// One value for every setting: a point of the sweep, or what all points share.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($($(#[doc = $doc])+ pub $field: $type,)*)*
            /// Whether the network is one of the user's own, whatever it is called: no setting, it follows from the sweep file.
            pub own_network: bool,
            /// The data set, where it is the user's own: no setting either.
            pub own_set: Option<Arc<OwnData>>,
            /// The steps of an epoch by which points were put on steps, if any was: no setting, it follows from the others.
            pub counted_steps: Option<usize>,
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($($field: $default,)*)* own_network: false, own_set: None, counted_steps: None }
            }
        }

        /// All settings, in the order in which help, tables and files list them.
        pub static FIELDS: &[Field] = &[$($(Field {
            key: $key,
            aliases: &[$($($alias),*)?],
            group: $group,
            help: concat!($($doc, "\n"),+),
            decides: Decides::$decides,
            list: <$type as Value>::LIST,
            whole: <$type as Value>::WHOLE,
            flag: <$type as Value>::FLAG,
            words: <$type as Value>::words,
            set: |settings, text| {
                let value = <$type as Value>::parse(text)?;
                $(if !$range.contains(&value) {
                    return Err($bounds.to_string());
                })?
                settings.$field = value;
                Ok(())
            },
            show: |settings| Value::show(&settings.$field),
            matters: |settings| {
                #[allow(unused_mut, unused_assignments)]
                let mut matters: fn(&Settings) -> bool = |_| true;
                $(matters = $matters;)?
                matters(settings)
            },
        },)*)*];
    };
}

settings! {
    group "Network" Training {
        /// Network to train: a built-in one (lenet-300-100, lenet-5, conv-2, conv-4, conv-6, mlp, alexnet, vgg-11, vgg-13, vgg-16,
        /// vgg-19 and these with `-plain`, resnet, resnetb, resnet-18, resnet-34, resnet-50, resnet-101, resnet-152, resnext-50,
        /// wide-resnet, densenet-bc, mobilenet-v2, convnext, vit) or one that the sweep file defines under `[networks.NAME]`
        "network" ["model"] => network: String = "resnetb".to_string();
        /// Layers of a network: 6n+2 for `resnet`, 9n+2 for `resnetb`, 6n+4 for `wide-resnet` and `densenet-bc`; blocks of
        /// `convnext` (6n) and `vit`; auto = 20 for `resnet` and `resnetb`, 28, 100, 12 and 6 for the others
        "depth" => depth: Option<usize> = None, in DEPTHS, "a whole number from 1 to 10000 or `auto`", if |s| zoo_has(s, "depth");
        /// Channels of the first stage of a residual network or of `convnext`; how many times wider `wide-resnet` is; channels
        /// that each layer of `densenet-bc` adds; features of the tokens of `vit`; auto = 16 for `resnet` and `resnetb`, 40, 10, 12
        /// and 192 for the others
        "width" => width: Option<usize> = None, in WIDTHS, "a whole number from 1 to 4096 or `auto`", if |s| zoo_has(s, "width");
        /// Features of each hidden layer of `mlp`, such as `300,100` or `[300, 100]`
        "hidden" => hidden: Vec<usize> = vec![300, 100], in HIDDEN, "at most 64 whole numbers from 1 to 65536",
            if |s| zoo_has(s, "hidden");
        /// Shortcut of `resnet` where the shape changes: `a` adds zero channels, `b` is a 1x1 convolution
        "shortcut" => shortcut: ShortcutOption = ShortcutOption::A, if |s| zoo_has(s, "shortcut");
        /// Scale of batch norms at the start: 1.0, 0.5 (network slimming) or `uniform` in [0, 1] (open_lth)
        "bn-init" => norm_start: NormStart = NormStart::One;
    }

    group "Data" Training {
        /// Data set: fashion-mnist, mnist, kmnist, qmnist, emnist-letters (-balanced, -digits, -mnist, -bymerge, -byclass), cifar-10,
        /// cifar-100, synthetic, or your own: a path, or the name of a block `[datasets.NAME]` of the sweep file
        "dataset" => dataset: String = "cifar-10".to_string();
        /// Use only the first N training images (validation included)
        "train-limit" => train_limit: Option<usize> = None;
        /// Images held out from the end of the training images for choosing epochs; auto = 5000, or a tenth of fewer
        /// than 50000 images
        "validation-size" => validation_size: Option<usize> = None;
        /// Filter of all images, of training, validation and test, before anything else is done to them: none, low-pass (the grey image
        /// times a Gaussian in the Fourier domain) or high-pass (the grey image less that), each stretched to the bytes from 0 to 255
        "filter" => filter: ImageFilter = ImageFilter::None, if |s| s.filter != ImageFilter::None;
        /// Standard deviation of the filter's Gaussian, in pixels: the larger, the fewer waves are low
        "filter-sigma" ["sigma"] => filter_sigma: f64 = 1.0, in 1e-12..=1e6, "a number above 0 and at most 1e6",
            if |s| s.filter != ImageFilter::None;
        /// How training images are varied: none, crop-flip (padded by 4, cropped, flipped), or a list of what is done one after the other:
        /// flip, crop:PIXELS (padded by so many), cutout:SIDE, random-resized-crop:SHARE (at least 0.08 of the image), rotate:DEGREES,
        /// colour:STRENGTH (brightness, contrast, saturation), randaugment:COUNT:MAGNITUDE (2 and 9); auto = crop-flip for CIFAR, none
        /// otherwise
        "augment" => augment: Option<Augment> = None;
        /// Mean by which images are normalised, of bytes as numbers in [0, 1], of other numbers as they are: a number for each
        /// channel, or one for all; or what was published for imagenet (0.485, 0.456, 0.406), cifar and cifar-10 (0.4914, 0.4822, 0.4465), cifar-100
        /// (0.5071, 0.4867, 0.4408) or mnist (0.1307); auto = that of the images trained on
        "input-mean" => input_mean: Option<ChannelNumbers> = None, in MEANS,
            "numbers (of bytes from 0 to 1), `auto`, or one of `imagenet`, `cifar`, `cifar-10`, `cifar-100`, `mnist`", if |s| s.input_mean.is_some();
        /// Standard deviation by which images are normalised, likewise: imagenet (0.229, 0.224, 0.225), cifar (0.2023, 0.1994, 0.201), cifar-10 (0.247, 0.2435,
        /// 0.2616), cifar-100 (0.2675, 0.2565, 0.2761) or mnist (0.3081)
        "input-std" => input_std: Option<ChannelNumbers> = None, in DEVIATIONS,
            "numbers above 0 (of bytes up to 1), `auto`, or one of `imagenet`, `cifar`, `cifar-10`, `cifar-100`, `mnist`",
            if |s| s.input_std.is_some();
        /// Shape of synthetic images: channels, height, width
        "synthetic-shape" => synthetic_shape: Vec<usize> = vec![1, 8, 8], if |s| s.dataset == "synthetic";
        /// Classes of synthetic images
        "synthetic-classes" => synthetic_classes: usize = 10, in 2..=65_535, "a whole number from 2 to 65535",
            if |s| s.dataset == "synthetic";
        /// Training images of the synthetic set; the test set has half as many
        "synthetic-size" => synthetic_size: usize = 1000, in 4..=100_000_000, "a whole number from 4 to 100000000",
            if |s| s.dataset == "synthetic";
    }

    group "Training" Training {
        /// Epochs of each training
        "epochs" => epochs: usize = 160, in 1..=1_000_000, "a whole number from 1 to 1000000";
        /// Steps of each training instead of epochs, as in "50,000 iterations": must come to whole epochs, which follow from the
        /// training images and `batch-size`; auto = as `epochs` says
        "iterations" => iterations: Option<usize> = None, in ITERATIONS, "a whole number from 1 to 1000000000000 or `auto`",
            if |s| s.iterations.is_some();
        /// Images a step
        "batch-size" ["bs"] => batch_size: usize = 64, in 1..=1_000_000, "a whole number from 1 to 1000000";
        /// Numbers that networks compute with: fp32, bf16 (faster where the processor has it; weights, batch norms, loss and
        /// optimiser stay fp32), or on NVIDIA GPUs tf32 (fp32 whose products are rounded more)
        "precision" => precision: Precision = Precision::Fp32, if |s| s.precision != Precision::Fp32;
        /// Optimiser, each as in PyTorch
        "optimizer" ["o", "optimiser"] => optimizer: Optimizer = Optimizer::Sgd;
        /// Learning rate at the start of the schedule
        "learning-rate" ["lr"] => learning_rate: f64 = 0.1, in 1e-12..=1e6, "a number above 0 and at most 1e6";
        /// Momentum of sgd
        "momentum" => momentum: f64 = 0.9, in 0.0..1.0, "a number of at least 0 and below 1",
            if |s| s.optimizer == Optimizer::Sgd;
        /// Nesterov's form of the momentum
        "nesterov" => nesterov: bool = true, if |s| s.optimizer == Optimizer::Sgd && s.momentum > 0.0;
        /// Weight decay (L2), on all weights as in PyTorch, or on those that `weight-decay-on` says
        "weight-decay" ["w-decay", "wd"] => weight_decay: f64 = 1e-4, in 0.0..=1e6, "a number from 0 to 1e6";
        /// Pull on prunable batch-norm scales: their gradient gets S times their sign (network slimming; 1e-4 or 1e-5). Those of
        /// residual streams are among them where channels are pruned with `streams = "group"`
        "slimming" ["sparsity-regularization"] => slimming: f64 = 0.0, in 0.0..=1e6, "a number from 0 to 1e6", if |s| s.slimming > 0.0;
        /// Decay of the mean of gradients in adam and adamw
        "beta1" => beta1: f64 = 0.9, in 0.0..1.0, "a number of at least 0 and below 1", if is_adam;
        /// Decay of the mean of squared gradients in adam and adamw
        "beta2" => beta2: f64 = 0.999, in 0.0..1.0, "a number of at least 0 and below 1", if is_adam;
    }

    group "Recipes" Training {
        /// What weight decay acts on: all, or weights (of convolutions and fully connected layers; not biases, norms, slopes, and
        /// what is learned by itself, as places of tokens)
        "weight-decay-on" => weight_decay_on: DecayOn = DecayOn::All,
            if |s| s.weight_decay_on != DecayOn::All && s.weight_decay > 0.0;
        /// Longest gradient (L2 norm over all weights that are alive): a longer one is shortened to this, as by PyTorch's
        /// clip_grad_norm_; 0 = as it is
        "clip-norm" => clip_norm: f64 = 0.0, in 0.0..=1e9, "a number from 0 to 1e9", if |s| s.clip_norm > 0.0;
        /// Decay of a moving average of the weights, such as 0.999: the average is evaluated, kept and pruned, and training goes on
        /// from the weights themselves; 0 = none
        "average" ["ema"] => average: f64 = 0.0, in 0.0..1.0, "a number of at least 0 and below 1", if |s| s.average > 0.0;
        /// Share of the target that is spread evenly over all classes, such as 0.1
        "label-smoothing" => label_smoothing: f64 = 0.0, in 0.0..1.0, "a number of at least 0 and below 1",
            if |s| s.label_smoothing > 0.0;
        /// Mix each image with another of its batch, and their labels alike: alpha of the beta distribution of the shares, such as
        /// 0.2; 0 = no. Training accuracy is then that on the label of the larger share
        "mixup" => mixup: f64 = 0.0, in 0.0..=1000.0, "a number from 0 to 1000", if |s| s.mixup > 0.0;
        /// Put a rectangle of another image of its batch into each, and mix their labels by area: alpha of the beta distribution of
        /// the shares, such as 1.0; 0 = no. With `mixup` too, each batch gets one of the two, evenly
        "cutmix" => cutmix: f64 = 0.0, in 0.0..=1000.0, "a number from 0 to 1000", if |s| s.cutmix > 0.0;
        /// How much the images of each class count in the loss: none (all alike), balanced (in inverse proportion to the training
        /// images of the class) or a number for each class
        "class-weights" => class_weights: ClassWeights = ClassWeights::None, if |s| s.class_weights != ClassWeights::None;
        /// The last images of an epoch, where they are fewer than a batch: keep (a smaller batch), drop (left out), join (the batch
        /// before has them too) or auto = keep, but join where it is one image of which a batch norm sees a single value
        "last-batch" => last_batch: LastBatch = LastBatch::Auto, if |s| s.last_batch != LastBatch::Auto;
    }

    group "Learning-rate schedule" Training {
        /// How the learning rate changes over the epochs
        "schedule" ["sched"] => schedule: Schedule = Schedule::Manual;
        /// Factor of manual, step and plateau
        "gamma" => gamma: f64 = 0.1, in 1e-12..=1.0, "a number above 0 and at most 1",
            if |s| matches!(s.schedule, Schedule::Manual | Schedule::Step | Schedule::Plateau);
        /// Whether cosine and cosine-restarts move once an epoch or at every step (iteration), as where PyTorch's scheduler is called
        /// after each batch
        "schedule-by" => schedule_by: ScheduleBy = ScheduleBy::Epoch,
            if |s| s.schedule_by == ScheduleBy::Iteration && matches!(s.schedule, Schedule::Cosine | Schedule::CosineRestarts);
        /// Epochs after which the manual schedule multiplies by gamma, such as `80,120` or `[80, 120]`, or steps: `32000it,48000it`
        "lr-milestones" ["lr-update-epochs", "lr_update_epochs"] => milestones: Vec<Point> = vec![Point::epoch(80), Point::epoch(120)],
            if |s| s.schedule == Schedule::Manual;
        /// Epochs between two drops of the step schedule, or steps (`30000it`)
        "step-epochs" => step_epochs: Point = Point::epoch(30), in SPANS, "epochs from 1 to 1000000, or steps as `500it`",
            if |s| s.schedule == Schedule::Step;
        /// Epochs without a better validation loss before plateau drops (without validation images it looks at the test loss)
        "patience" => patience: usize = 10, in 0..=1_000_000, "a whole number up to 1000000",
            if |s| s.schedule == Schedule::Plateau;
        /// Lowest learning rate of plateau, cosine, cosine-restarts and cyclic
        "min-lr" => min_lr: f64 = 0.0, in 0.0..=1e6, "a number from 0 to 1e6",
            if |s| matches!(s.schedule, Schedule::Plateau | Schedule::Cosine | Schedule::CosineRestarts | Schedule::Cyclic);
        /// Epochs to the first restart of cosine-restarts, or of one whole cycle of cyclic; or steps (`4000it`)
        "cycle-epochs" => cycle_epochs: Point = Point::epoch(10), in SPANS, "epochs from 1 to 1000000, or steps as `500it`",
            if |s| matches!(s.schedule, Schedule::CosineRestarts | Schedule::Cyclic);
        /// How many times longer each next cycle of cosine-restarts is
        "cycle-factor" => cycle_factor: usize = 1, in 1..=1000, "a whole number from 1 to 1000",
            if |s| s.schedule == Schedule::CosineRestarts;
        /// Epochs over which the learning rate rises from 0, step by step, at the start: `5`, `0.5ep`, or steps (`500it`)
        "warmup-epochs" ["warm-up"] => warmup_epochs: Point = Point::epoch(0), in UP_TO, "epochs up to 1000000, or steps as `500it`";
        /// Share of the learning rate from which it rises in the warm-up, instead of 0
        "warmup-start" => warmup_start: f64 = 0.0, in 0.0..=1.0, "a number from 0 to 1",
            if |s| s.warmup_epochs != Point::default() && s.warmup_start > 0.0;
        /// The schedule begins after the warm-up and has the epochs that are left; its milestones, steps and cycles count from there.
        /// Otherwise it runs from the first epoch, and the warm-up takes its share of it
        "schedule-after-warmup" => schedule_after_warmup: bool = false,
            if |s| s.warmup_epochs != Point::default() && s.schedule_after_warmup;
    }

    group "Levels" Levels {
        /// Share of the prunable weights that is gone in the end
        "pruning-ratio" ["pr", "sparsity"] => pruning_ratio: f64 = 0.5, in 0.0..1.0, "a ratio of at least 0 and below 1",
            if |s| s.prune_iterations > 0 && draws_masks(s) && s.target.0.is_none();
        /// Number of prunings, each followed by a training: 0 trains the dense network only, 1 is one-shot
        "prune-iterations" ["priter"] => prune_iterations: usize = 1, in 0..=1000, "a whole number up to 1000";
        /// Share of what is alive that each pruning takes, such as 0.2, instead of the share that is gone in the end: `pruning-ratio` follows
        /// from it and the number of prunings; auto = it follows from those two
        "prune-rate" => prune_rate: Option<f64> = None, in RATES, "a rate above 0 and below 1, or `auto`",
            if |s| s.prune_rate.is_some() && s.prune_iterations > 0 && draws_masks(s);
        /// A trial for each level up to this one, of one chain of trainings: `levels = 15` is 1, 2, … 15 prunings, at `prune-rate` each or to
        /// `pruning-ratio` in all; auto = one trial of `prune-iterations` prunings
        "levels" => levels: Option<usize> = None, in LEVELS, "a whole number from 1 to 1000 or `auto`", if |_| false;
        /// Ratios of layers that are not pruned as the others are, by names in which `*` stands for anything, such as `fc=0.5, conv*=0.1`; in a
        /// sweep file a table `[ratios]`. Each such layer is pruned by itself. They take the place of `prune-rate` where there is one, else of
        /// `pruning-ratio`
        "ratios" => ratios: LayerRatios = LayerRatios::default(),
            if |s| !s.ratios.is_empty() && s.prune_iterations > 0 && draws_masks(s);
        /// What is asked of these trials: none (all are trained), or sparsest (which ticket of fewest weights still matches the dense network:
        /// only what answers that is trained). Levels of one chain end where two in a row do not match; ratios that are pruned by themselves
        /// are bisected
        "find" => find: Find = Find::None, if |s| s.find != Find::None && s.prune_iterations > 0;
        /// How far a ticket may be below the dense network and still match it, by the accuracy that epochs are chosen on: points (1.0) below the
        /// mean over seeds, or ci (as far as the 95 % interval of the differences over seeds reaches)
        "within" => within: Within = Within::Points(1.0), if |s| s.find != Find::None && s.prune_iterations > 0;
        /// Successive halving of these trials: of the dense trainings of one network on one data set that differ in other settings, one in so
        /// many goes on at each rung, by the accuracy that epochs are chosen on; the others and their tickets end there (see `halving-over`). 0 = all
        /// are trained
        "halving" => halving: usize = 0, in HALVINGS, "0 or a whole number from 2 to 100", if |s| s.halving > 1;
        /// Settings that compete in a halving, such as `learning-rate, criterion`: first those of the dense training, then, of the tickets of
        /// what is left, those of pruning; trials that differ in others do not compete. auto = all of the dense training but network and data
        "halving-over" => halving_over: SettingKeys = SettingKeys::default(), if |s| s.halving > 1 && !s.halving_over.0.is_empty();
        /// Whether a `pruning-ratio` of four digits or more that is a whole percentage of what is alive at each pruning, rounded, means that:
        /// 0.9648 in 15 prunings is 20 % each. false = what is written, to the last digit
        "round-rates" => round_rates: bool = true, if |_| false;
    }

    group "Pruning" Pruning {
        /// What is removed: single weights (unstructured, u) or channels (structured, s)
        "pruning-type" ["prunety"] => pruning_type: PruningType = PruningType::Unstructured;
        /// How weights (magnitude, random, lamp, snip, grasp, synflow) or channels (bn-scale, l1, l2, geometric-median,
        /// taylor, random) are scored; the lowest scores are pruned; auto = magnitude, bn-scale for channels, random for
        /// the first mask of `while-training = "rigl"`
        "criterion" => criterion: Option<Criterion> = None, if draws_masks;
        /// Whether all weights or channels compete (global) or those of each layer among themselves (layer); for weights
        /// also erk (layers at Erdős–Rényi-kernel densities) and deviation (measured by each layer's standard deviation);
        /// auto = layer for geometric-median, global otherwise
        "scope" => scope: Option<Scope> = None, if draws_masks;
        /// Which layers may be pruned, by their kind: all, conv (the original script prunes these only), linear, spatial (convolutions of
        /// several pixels) or pointwise (of one)
        "prune-layers" => prune_layers: PruneLayers = PruneLayers::All, if |s| !s.prunes_channels() && draws_masks(s);
        /// Layers that are not pruned, by names in which `*` stands for anything, such as `conv1, layer*.0.downsample`, or by the words first
        /// and last. A name of a module is all layers within. Where channels are pruned, those that these layers make stay
        "spare" => spare: LayerSet = LayerSet::default(), if |s| !s.spare.is_empty() && draws_masks(s);
        /// Share of the rate at which the output layer is pruned, on its own: 0.5 as in the lottery-ticket paper,
        /// 0 never, 1 like the others
        "output-rate" => output_rate: f64 = 1.0, in 0.0..=1.0, "a number from 0 to 1",
            if |s| !s.prunes_channels() && draws_masks(s);
        /// Channels of residual streams: whole (only channels inside blocks are pruned) or group (each stream channel in
        /// all layers that share it)
        "streams" => streams: Streams = Streams::Whole, if |s| s.prunes_channels();
        /// How small the network becomes, instead of a share of its channels: macs:0.5 of its multiply-adds, parameters:0.3 of its parameters,
        /// size:2MB of weights and batch-norm statistics in float32, or time:0.5 of the time that it takes for a batch in evaluation, as
        /// measured before training; none = as `pruning-ratio` says. Channels go in the order of their scores until it is met
        "target" => target: MaybeTarget = MaybeTarget(None), if |s| s.prunes_channels() && s.target.0.is_some();
        /// Keep a multiple of this many channels in each layer, such as 8 or 16, where there are that many
        "round-channels" => round_channels: usize = 1, in 1..=1024, "a whole number from 1 to 1024",
            if |s| s.prunes_channels() && s.round_channels > 1;
        /// Training images from which snip, grasp and taylor take their gradients
        "score-images" => score_images: usize = 1024, in 1..=10_000_000, "a whole number from 1 to 10000000",
            if |s| s.criterion.is_some_and(|criterion| criterion.needs_images()) && draws_masks(s);
        /// Take the mask of the ticket from a file instead of drawing one: masks as `tombola export` and results folders have them
        /// (safetensors, .npz), a state dict with masks (`weight_mask`, open_lth), or open_lth's file of masks
        "load-mask" => load_mask: NamedFile = NamedFile(None), if |s| s.load_mask.0.is_some();
        /// How the mask changes while the ticket trains: none, gradual (more and more of the smallest weights go; Zhu and Gupta 2017)
        /// or rigl (small weights go, as many with large gradients come back; Evci et al. 2020)
        "while-training" => while_training: WhileTraining = WhileTraining::None, if changes_mask;
        /// Steps between two changes of the mask
        "mask-every" => mask_every: usize = 100, in 1..=1_000_000_000, "a whole number from 1 to 1000000000", if changes_mask;
        /// Steps before the first change of gradual
        "mask-from" => mask_from: usize = 0, in 0..=1_000_000_000_000, "a whole number up to 1000000000000", if is_gradual;
        /// Share of the steps of the training after which the mask stays; gradual has its final ratio from there on
        "mask-until" => mask_until: f64 = 0.75, in SHARE, "a number above 0 and at most 1", if changes_mask;
        /// Pruning ratio at which gradual starts
        "start-ratio" => start_ratio: f64 = 0.0, in 0.0..1.0, "a ratio of at least 0 and below 1", if is_gradual;
        /// Share of the weights of a layer that rigl replaces at first; it falls to 0 by half a cosine
        "drop-share" => drop_share: f64 = 0.3, in SHARE, "a number above 0 and at most 1",
            if |s| s.while_training == WhileTraining::Rigl;
        /// Which snapshot a mask is drawn from: best (on validation), last, epoch:K, early-bird (when the mask has settled), or
        /// within an epoch: `500it`, `1.5ep`, `1ep50it`
        "draw" => draw: Moment = Moment::Last;
        /// Rule of the early bird: paper (the last distances between successive epochs all below epsilon) or code (the
        /// newest mask within epsilon of each of the window before)
        "early-bird-rule" => early_bird_rule: EarlyBirdRule = EarlyBirdRule::Paper, if draws_early_birds;
        /// Distances (paper) or masks (code) that the rule looks at
        "early-bird-window" => early_bird_window: usize = 5, in 2..=1000, "a whole number from 2 to 1000",
            if draws_early_birds;
        /// Share of differing bits below which two masks count as the same
        "early-bird-epsilon" => early_bird_epsilon: f64 = 0.1, in 0.0..=1.0, "a number from 0 to 1",
            if draws_early_birds;
        /// Where the kept weights go back to: none (fine-tune at the last learning rate), lr (the schedule starts again,
        /// the weights stay), init, random, epoch:K, or a step of the dense training: `500it`, `1.5ep`, `1ep50it`
        "reinit" ["rewind"] => rewind: Rewind = Rewind::LearningRate;
        /// Epochs of a fine-tuning (reinit none); auto = as many as `epochs`
        "fine-tune-epochs" => fine_tune_epochs: Option<usize> = None, in FINE_TUNE, "a whole number from 1 to 1000000 or `auto`",
            if |s| s.rewind == Rewind::None;
        /// Learning rate of a fine-tuning (reinit none); auto = the last one of the schedule, of plateau that of the drawn epoch
        "fine-tune-lr" => fine_tune_lr: Option<f64> = None, if |s| s.rewind == Rewind::None;
        /// How long a ticket trains: epochs (as many as the dense network), flops (as many multiply-adds, the schedule
        /// stretched) or remaining (the epochs after the draw)
        "budget" => budget: Budget = Budget::Epochs, if |s| s.budget != Budget::Epochs;
        /// Share of a ticket's loss that the dense network's scores have, such as 0.9, instead of the labels (knowledge distillation); the
        /// teacher is the dense network of the trial at its best epoch where `draw` is best, else at its end; 0 = none
        "distill" => distill: f64 = 0.0, in 0.0..=1.0, "a number from 0 to 1", if |s| s.distill > 0.0;
        /// Temperature by which the scores of both are divided: the higher, the more the teacher's small ones count
        "distill-temperature" => distill_temperature: f64 = 4.0, in 1e-3..=1000.0, "a number from 0.001 to 1000",
            if |s| s.distill > 0.0;
        /// Twin of the last level that shows what the ticket is worth: its mask on new weights (reinit), as many random
        /// weights in each layer (random-mask), or the ticket in another data order (fork: measures the error barrier)
        "control" => control: Control = Control::None;
        /// Points between both networks at which the error barrier of a fork is measured, both ends included
        "barrier-points" => barrier_points: usize = 11, in 3..=1001, "a whole number from 3 to 1001",
            if |s| s.control == Control::Fork;
    }

    group "Seeds and selection" Training {
        /// One number that gives three independent streams: initialisation, data order, augmentation
        "seed" => seed: u64 = 1;
        /// Seed of the initialisation alone; auto = seed
        "init-seed" => init_seed: Option<u64> = None;
        /// Seed of the data order alone, and of what dropout leaves out; auto = seed
        "order-seed" => order_seed: Option<u64> = None;
        /// Seed of the augmentation alone; auto = seed
        "augment-seed" => augment_seed: Option<u64> = None, if |s| s.augment != Some(Augment::None);
        /// Part of the data on which the best epoch is chosen; `test` repeats protocols that did
        "select" => select: Select = Select::Validation;
        /// Take the dense network from a file instead of training it: a state dict (safetensors or .pth), or auto for a finished
        /// training with the same settings in a neighbouring results folder
        "load" => load: Load = Load::None, if |s| matches!(s.load, Load::Path(_));
        /// Train the dense network from the weights in a file, not from random ones; `reinit = "init"` goes back to them
        "load-init" => load_init: NamedFile = NamedFile(None), if |s| s.load_init.0.is_some();
        /// What names of files that are loaded mean: a file of TOML with pairs `"theirs" = "ours"`, of tensors or layers
        "load-names" => load_names: NamedFile = NamedFile(None), if |s| s.load_names.0.is_some() && s.loads();
        /// The output layer of a network that is loaded: as the file has it, or new for the initial weights of the seed, where the
        /// file is of another number of classes
        "load-head" => load_head: Head = Head::Loaded, if |s| s.load_head == Head::New && s.loads_weights();
    }

    group "Running" Run {
        /// Results folder; default results/NAME after the sweep file
        "out" => out: Option<PathBuf> = None;
        /// Folder that holds the data sets
        "data-dir" => data_dir: Option<PathBuf> = None;
        /// MB of examples that a process may hold in memory: where a set of your own has more, they are read ahead from the disk, and
        /// give the same results; auto = half of what is free
        "data-memory" => data_memory: Option<usize> = None, in MEGABYTES, "a whole number from 1 to 1000000000 or `auto`";
        /// Train on files of a data set that are not its publisher's: your own, or some that were cut down on purpose
        "own-data" => own_data: bool = false;
        /// Device: cpu, cuda or cuda:N; auto = cuda where there is one
        "device" => device: Option<String> = None;
        /// Trainings at the same time; auto = as many as `tombola tune` found to be best here for the costliest network, and
        /// else one a core on CPU, one on a GPU
        "workers" => workers: Option<usize> = None, in WORKERS, "a whole number from 1 to 1024 or `auto`";
        /// CPU threads of each training; another number adds up in another order, and gives other numbers
        "threads" => threads: usize = 1, in 1..=1024, "a whole number from 1 to 1024";
        /// On a GPU, take only kernels that add in the same order each time: the same command then gives the same bits, more slowly.
        /// On a CPU it always does
        "deterministic" => deterministic: bool = false;
        /// Keep the best and last weights of every training
        "save" => save: bool = false;
        /// Keep the weights after these epochs of every training, and the best up to each; or after steps: `10,500it,1.5ep`
        "epochs-save" ["save-at"] => epochs_save: Vec<Point> = Vec::new();
        /// Ratios at which the mask of every epoch is drawn and compared; auto = those of the sweep, none, or a list
        "track-masks" => track_masks: TrackMasks = TrackMasks::Auto;
        /// Count for each class how many test images the best and the last weights of a training classify correctly: `classes.csv`. What is
        /// trained already is not trained again for it
        "class-accuracy" => class_accuracy: bool = false;
        /// Add to each ticket the twins that show what it is worth: controls reinit and random-mask
        "controls" => controls: bool = false;
        /// Numbers of prunings after which tickets have their controls, such as `1,2,3`, of those that are asked for; none given = whatever
        /// the number
        "control-levels" => control_levels: Vec<usize> = Vec::new();
        /// Accepted for the commands of the original script; training is always logged, in epochs.csv
        "log-train" => log_train: bool = true;
        /// Which snapshots stay on disk when no training needs them any more: tickets, or nothing but what save and
        /// epochs-save ask for
        "keep" => keep: Keep = Keep::Tickets;
        /// Seconds between two snapshots of a running training, from which a killed run continues
        "snapshot-seconds" => snapshot_seconds: f64 = 20.0, in 0.0..=1e6, "a number from 0 to 1e6";
    }

    group "Failures and limits" Run {
        /// How often a failed training is tried again in the same run; the next run tries it again anyway
        "retries" => retries: usize = 0, in 0..=1000, "a whole number up to 1000";
        /// What a failed training does to the rest: continue (only what descends from it is skipped) or stop
        "on-fail" => on_fail: OnFail = OnFail::Continue;
        /// Failed trainings after which no new ones are begun; auto = no limit
        "max-fails" => max_fails: Option<usize> = None, in FAILS, "a whole number from 1 to 1000000 or `auto`";
        /// Seconds after which a training that reports nothing counts as hung: its worker is given up, and another goes on with
        /// it. Ten times its last epoch, if that is longer; three times either before its first epoch, and until a worker is ready
        "give-up-after" => give_up_after: f64 = 600.0, in 2.0..=1e9, "a number from 2 to 1e9";
        /// Seconds that this run may take, after which it stops as for a signal; auto = what Slurm leaves the job, or no
        /// limit
        "time-limit" => time_limit: Option<f64> = None, in SECONDS, "a number above 0 or `auto`";
        /// Seconds before the time limit at which running trainings are asked to stop after their epoch
        "stop-before" => stop_before: f64 = 120.0, in 0.0..=1e6, "a number from 0 to 1e6";
    }

    group "Many processes" Run {
        /// Whether rank 0 trains beside coordinating: shared, dedicated (it does not), or auto = shared unless each device
        /// already has a rank of its own
        "coordinator" => coordinator: Role = Role::Auto;
        /// Ranks that share one GPU
        "ranks-per-gpu" => ranks_per_gpu: usize = 1, in 1..=64, "a whole number from 1 to 64";
        /// Seconds without a sign of life after which a rank counts as lost
        "lease" => lease: f64 = 20.0, in 2.0..=1e6, "a number from 2 to 1e6";
        /// Part of the sweep that this run trains, without MPI: 2/8 is the second of eight. Dense trainings are dealt out
        /// with all that descends from them
        "shard" => shard: Option<Shard> = None;
    }
}

/// Settings over which means are taken.
pub const SEEDS: [&str; 4] = ["seed", "init-seed", "order-seed", "augment-seed"];

/// Settings that name files, of which the contents decide and not the names.
pub const NAME_FILES: [&str; 4] = ["load", "load-init", "load-names", "load-mask"];

fn zoo_has(settings: &Settings, what: &str) -> bool {
    if settings.own_network {
        return false;
    }
    match what {
        "depth" => zoo::uses_depth(&settings.network),
        "width" => zoo::uses_width(&settings.network),
        "hidden" => zoo::uses_hidden(&settings.network),
        _ => zoo::uses_shortcut(&settings.network),
    }
}

fn draws_early_birds(settings: &Settings) -> bool {
    settings.draw.is_early_bird()
}

/// Whether masks are drawn, not given.
fn draws_masks(settings: &Settings) -> bool {
    settings.load_mask.0.is_none()
}

fn changes_mask(settings: &Settings) -> bool {
    settings.while_training != WhileTraining::None
}

fn is_gradual(settings: &Settings) -> bool {
    settings.while_training == WhileTraining::Gradual
}

fn is_adam(settings: &Settings) -> bool {
    matches!(settings.optimizer, Optimizer::Adam | Optimizer::AdamW)
}

impl Settings {
    /// Replaces every `auto` that the other settings decide, and gives data sets and networks their one name, so that
    /// two spellings of the same training have the same identity.
    ///
    /// # Errors
    /// When settings contradict each other.
    pub fn resolve(mut self) -> Result<Self> {
        if let Ok(name) = zoo::canonical_name(&self.network)
            && !self.own_network
        {
            self.network = name.to_string();
        }
        let (depth, width) = zoo::usual_size(if self.own_network { "" } else { &self.network });
        self.depth = self.depth.or(Some(depth));
        self.width = self.width.or(Some(width));
        if self.own_set.is_none() {
            self.dataset = tombola_words::catalogue::find(&self.dataset)?.name.to_string();
        }
        self.augment = self.augment.or(Some(match self.own_set.is_none() && self.dataset.starts_with("cifar") {
            true => Augment::CropFlip,
            false => Augment::None,
        }));
        self.follow_rate();
        self.settle_points()?;
        for part in [&mut self.init_seed, &mut self.order_seed, &mut self.augment_seed] {
            *part = part.or(Some(self.seed));
        }
        self.fine_tune_epochs = self.fine_tune_epochs.or(Some(self.epochs));
        self.criterion = Some(self.criterion());
        self.scope = Some(self.scope());
        self.check()?;
        Ok(self)
    }

    /// Where each pruning has a rate, what is gone in the end follows.
    pub(super) fn follow_rate(&mut self) {
        if let Some(rate) = self.prune_rate {
            self.pruning_ratio = ratio_after(rate, self.prune_iterations);
        }
    }

    /// The built-in network that they ask for.
    pub fn choice(&self) -> Choice {
        let usual = Choice::named(&self.network);
        Choice {
            depth: self.depth.unwrap_or(usual.depth),
            width: self.width.unwrap_or(usual.width),
            shortcut: self.shortcut,
            hidden: self.hidden.clone(),
            name: usual.name,
        }
    }

    /// Mean and standard deviation by which images are normalised, where they are given.
    pub fn input_statistics(&self) -> (Option<&[f64]>, Option<&[f64]>) {
        let mean = self.input_mean.as_ref().map(|mean| mean.numbers(PublishedPixels::mean));
        (mean, self.input_std.as_ref().map(|deviation| deviation.numbers(PublishedPixels::deviation)))
    }

    /// What is left of images, in words; none where they are not filtered. Trainings of the same words and data see the same images.
    pub fn filter_words(&self) -> Option<String> {
        let words = || format!("{} with sigma {}", self.filter.show(), self.filter_sigma.show());
        (self.filter != ImageFilter::None).then(words)
    }

    /// Whether channels are pruned, not single weights.
    pub fn prunes_channels(&self) -> bool {
        self.pruning_type == PruningType::Structured
    }

    /// Which channels are prunable where the dense network is pulled by `slimming`: those that its tickets may lose. For
    /// weights, and where streams stay whole or are none, the channels inside blocks.
    pub fn slimmed_streams(&self) -> Streams {
        let plain = !self.own_network && zoo::is_plain(&self.network);
        let loses_streams = self.prunes_channels() && !plain;
        if loses_streams { self.streams } else { Streams::Whole }
    }

    /// Whether weights of the dense network come from a file.
    pub fn loads_weights(&self) -> bool {
        matches!(self.load, Load::Path(_)) || self.load_init.0.is_some()
    }

    /// Whether anything comes from a file.
    pub fn loads(&self) -> bool {
        self.loads_weights() || self.load_mask.0.is_some()
    }

    /// The files that it names, each with the setting that does.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let load = match &self.load {
            Load::Path(path) => Some(path),
            Load::None | Load::Auto => None,
        };
        let names = self.load_names.0.as_ref().filter(|_| self.loads());
        let mask = self.load_mask.0.as_ref().filter(|_| self.prune_iterations > 0);
        let files =
            [("load", load), ("load-init", self.load_init.0.as_ref()), ("load-names", names), ("load-mask", mask)];
        files.into_iter().filter_map(|(key, path)| Some((key, path?.as_path())))
    }

    /// How weights or channels are scored.
    pub fn criterion(&self) -> Criterion {
        self.criterion.unwrap_or(match (self.pruning_type, self.while_training) {
            (PruningType::Structured, _) => Criterion::NormScale,
            (PruningType::Unstructured, WhileTraining::Rigl) => Criterion::Random,
            (PruningType::Unstructured, WhileTraining::None | WhileTraining::Gradual) => Criterion::Magnitude,
        })
    }

    /// Which weights or channels compete. The geometric median is a place within one layer: its paper compares no others.
    pub fn scope(&self) -> Scope {
        self.scope.unwrap_or(match self.criterion() {
            Criterion::GeometricMedian => Scope::Layer,
            _ => Scope::Global,
        })
    }

    /// These settings with `epochs` epochs, and everything that counts epochs stretched alike.
    #[must_use]
    pub fn stretched(&self, epochs: usize) -> Self {
        let factor = epochs as f64 / self.epochs.max(1) as f64;
        // At least one of what it counts.
        let least = |point: Point| {
            let one = if point.whole_epochs().is_some() { Point::epoch(1) } else { Point::iteration(1) };
            point.stretched(factor).max(one)
        };
        let stretch = |count: usize| (count as f64 * factor).round() as usize;
        Self {
            epochs,
            milestones: self.milestones.iter().map(|milestone| milestone.stretched(factor)).collect(),
            step_epochs: least(self.step_epochs),
            patience: stretch(self.patience),
            cycle_epochs: least(self.cycle_epochs),
            warmup_epochs: self.warmup_epochs.stretched(factor),
            ..self.clone()
        }
    }

    /// Some of the settings as they are, one `key=value` a line.
    pub fn lines(&self, which: impl Fn(&Field) -> bool) -> String {
        let some = FIELDS.iter().filter(|field| which(field));
        some.map(|field| format!("{}={}\n", field.key, (field.show)(self))).collect()
    }

    /// The settings of some kind that make a difference, one `key=value` a line: what an identity is made of.
    pub fn identity(&self, decides: Decides) -> String {
        let mut text = String::new();
        for field in FIELDS.iter().filter(|field| field.decides == decides && (field.matters)(self)) {
            // One number is short for three streams; the streams decide.
            // Of a file its checksum decides.
            if field.key != "seed" && !NAME_FILES.contains(&field.key) {
                text.push_str(field.key);
                text.push('=');
                text.push_str(&(field.show)(self));
                text.push('\n');
            }
        }
        text
    }

    /// Rate at which each level prunes the weights still alive, so that `n` levels leave `1 - ratio` of them:
    /// `1 - (1 - ratio)^(1/n)`; 0 where the mask is given, or what is to be met. Rounded to 1e-9, so that chains which mean the same rate share their stages.
    /// With `round-rates`, the whole percentage that a ratio is the rounding of.
    pub fn rate(&self) -> f64 {
        if self.load_mask.0.is_some() || self.target.0.is_some() {
            return 0.0;
        }
        self.prune_rate.unwrap_or_else(|| self.rate_to(self.pruning_ratio))
    }

    /// Layers with rates of their own, at each level.
    pub fn layer_rates(&self) -> Vec<(LayerPattern, f64)> {
        if self.load_mask.0.is_some() {
            return Vec::new();
        }
        self.ratios.map(|ratio| self.rate_to(ratio)).pairs().to_vec()
    }

    /// The rate of each level for a ratio, which is one already where rates are what is given.
    fn rate_to(&self, ratio: f64) -> f64 {
        match self.prune_rate {
            Some(_) => ratio,
            None if self.round_rates => meant_rate(ratio, self.prune_iterations),
            None => rate_of(ratio, self.prune_iterations),
        }
    }
}

mod bounds;
mod check;
mod field;
mod while_training;

pub use check::check_fits;
pub use field::{Decides, Field};
#[cfg(test)]
mod tests;
