"""SessionOptions and RunOptions. Attributes that nothing reads are kept for their callers."""

import enum

import plica


class GraphOptimizationLevel(enum.IntEnum):
    """Of all but ORT_DISABLE_ALL the meaning is the same: the model is optimized."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """Kept and ignored: a run's operators take turns, and share its threads."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(enum.IntEnum):
    """Kept and ignored."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


class SessionOptions:
    """What is read: intra_op_num_threads, graph_optimization_level, enable_profiling,
    profile_file_prefix, optimized_model_filepath, and sizes for free dimensions."""

    def __init__(self):
        self.enable_cpu_mem_arena = True
        self.enable_mem_pattern = True
        self.enable_mem_reuse = True
        self.enable_profiling = False
        self.execution_mode = ExecutionMode.ORT_SEQUENTIAL
        self.execution_order = ExecutionOrder.DEFAULT
        self.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.inter_op_num_threads = 0
        self.intra_op_num_threads = 0
        self.log_severity_level = -1
        self.log_verbosity_level = 0
        self.logid = ""
        self.optimized_model_filepath = ""
        self.profile_file_prefix = "onnxruntime_profile_"
        self.use_deterministic_compute = False
        self.use_per_session_threads = True
        self._config = {}
        self._free_dimensions = {}

    def add_session_config_entry(self, key, value):
        self._config[key] = value

    def get_session_config_entry(self, key):
        if key not in self._config:
            raise plica.InvalidArgumentError(f"there is no session config entry {key!r}")
        return self._config[key]

    def add_free_dimension_override_by_name(self, name, size):
        """get_inputs() tells this size; runs go by that of their inputs anyway."""
        self._free_dimensions[name] = int(size)

    def add_free_dimension_override_by_denotation(self, denotation, size):
        raise plica.UnsupportedError(
            "Plica does not read denotations: override free dimensions by name"
        )

    def add_initializer(self, name, value):
        raise plica.UnsupportedError(
            "initializers can't be given to a session: put them into the model"
        )

    def add_external_initializers(self, names, values):
        raise plica.UnsupportedError(
            "initializers can't be given to a session: put them into the model"
        )

    def register_custom_ops_library(self, path):
        raise plica.UnsupportedError(
            "libraries of custom operators are built for ONNX Runtime; operators of one's own are "
            "classes in C++ here (plica/custom_operator.h)"
        )

    def has_providers(self):
        return False


class RunOptions:
    """What is read: terminate, which any thread may set to end the run."""

    def __init__(self):
        self._token = plica.CancelToken()
        self._config = {}
        self.log_severity_level = -1
        self.log_verbosity_level = 0
        self.logid = ""
        self.only_execute_path_to_fetches = False
        self.training_mode = False

    @property
    def terminate(self):
        return self._token.cancelled

    @terminate.setter
    def terminate(self, value):
        if value:
            self._token.cancel()
        else:
            self._token.reset()

    def add_run_config_entry(self, key, value):
        self._config[key] = value

    def get_run_config_entry(self, key):
        if key not in self._config:
            raise plica.InvalidArgumentError(f"there is no run config entry {key!r}")
        return self._config[key]
