/* A tank as a co-simulation FMU of FMI 2 or 3, for the tests of the FMU adapter: supply follows its setpoint with a lag,
   a pump costs power while it is enabled, and a step from `failsAt` on fails. */
#include <stddef.h>
#include <stdlib.h>

enum { T_SET, DP_SET, T_DRY, LOAD, LAG, FAILS_AT, T_SUP, T_RET, FLOW, T_CASE, POWER, ENERGY, REALS };
typedef struct { double r[REALS]; int enable; } Tank;

static Tank *born(void) {
    Tank *t = calloc(1, sizeof *t);
    t->r[T_SUP] = t->r[T_SET] = 305.15;
    t->r[LAG] = 120.0;
    t->r[FAILS_AT] = 1e18;
    t->enable = 1;
    return t;
}

static int moved(Tank *t, double at, double dt) {
    double *r = t->r;
    if (at >= r[FAILS_AT]) return 3;
    r[T_SUP] += (r[T_SET] - r[T_SUP]) * dt / (r[LAG] + dt);
    r[FLOW] = t->enable ? 25.0 : 0.0;
    r[T_RET] = r[T_SUP] + 10.0 * r[LOAD];
    r[T_CASE] = r[T_SUP] + 30.0 * r[LOAD];
    r[POWER] = t->enable ? 1000.0 + 100.0 * (r[T_DRY] - 273.15) : 0.0;
    r[ENERGY] += 2.0 * r[POWER] * dt;
    return 0;
}

static int put(Tank *t, const unsigned *vr, size_t n, const double *v) {
    for (size_t i = 0; i < n; i++) t->r[vr[i]] = v[i];
    return 0;
}

static int look(Tank *t, const unsigned *vr, size_t n, double *v) {
    for (size_t i = 0; i < n; i++) v[i] = t->r[vr[i]];
    return 0;
}

#define NOT_HERE(name) int name(void) { return 3; }

#ifdef FMI2
void *fmi2Instantiate(const char *a, int b, const char *c, const char *d, const void *e, int f, int g) { return born(); }
int fmi2SetupExperiment(void *t, int a, double b, double c, int d, double e) { return 0; }
int fmi2EnterInitializationMode(void *t) { return 0; }
int fmi2ExitInitializationMode(void *t) { return moved(t, -1.0, 0.0); }
int fmi2DoStep(void *t, double at, double dt, int a) { return moved(t, at, dt); }
int fmi2SetReal(void *t, const unsigned *vr, size_t n, const double *v) { return put(t, vr, n, v); }
int fmi2GetReal(void *t, const unsigned *vr, size_t n, double *v) { return look(t, vr, n, v); }
int fmi2SetBoolean(void *t, const unsigned *vr, size_t n, const int *v) { ((Tank *)t)->enable = v[0]; return 0; }
int fmi2Terminate(void *t) { return 0; }
void fmi2FreeInstance(void *t) { free(t); }
/* FMPy looks for all of them as it loads the library, and calls none of them here */
NOT_HERE(fmi2CancelStep) NOT_HERE(fmi2DeSerializeFMUstate) NOT_HERE(fmi2FreeFMUstate) NOT_HERE(fmi2GetBoolean)
NOT_HERE(fmi2GetBooleanStatus) NOT_HERE(fmi2GetDirectionalDerivative) NOT_HERE(fmi2GetFMUstate)
NOT_HERE(fmi2GetInteger) NOT_HERE(fmi2GetIntegerStatus) NOT_HERE(fmi2GetRealOutputDerivatives)
NOT_HERE(fmi2GetRealStatus) NOT_HERE(fmi2GetStatus) NOT_HERE(fmi2GetString) NOT_HERE(fmi2GetStringStatus)
NOT_HERE(fmi2GetTypesPlatform) NOT_HERE(fmi2GetVersion) NOT_HERE(fmi2Reset) NOT_HERE(fmi2SerializeFMUstate)
NOT_HERE(fmi2SerializedFMUstateSize) NOT_HERE(fmi2SetDebugLogging) NOT_HERE(fmi2SetFMUstate) NOT_HERE(fmi2SetInteger)
NOT_HERE(fmi2SetRealInputDerivatives) NOT_HERE(fmi2SetString)
#else
#include <stdbool.h>
void *fmi3InstantiateCoSimulation(const char *a, const char *b, const char *c, bool d, bool e, bool f, bool g,
                                  const unsigned *h, size_t i, void *j, void *k, void *l) { return born(); }
int fmi3EnterInitializationMode(void *t, bool a, double b, double c, bool d, double e) { return 0; }
int fmi3ExitInitializationMode(void *t) { return moved(t, -1.0, 0.0); }
int fmi3DoStep(void *t, double at, double dt, bool a, bool *event, bool *ends, bool *early, double *last) {
    *event = *early = false;
    *ends = at >= 5e5;
    *last = at + dt;
    return moved(t, at, dt);
}
int fmi3SetFloat64(void *t, const unsigned *vr, size_t n, const double *v, size_t m) { return put(t, vr, n, v); }
int fmi3GetFloat64(void *t, const unsigned *vr, size_t n, double *v, size_t m) { return look(t, vr, n, v); }
int fmi3SetBoolean(void *t, const unsigned *vr, size_t n, const bool *v, size_t m) { ((Tank *)t)->enable = v[0]; return 0; }
int fmi3Terminate(void *t) { return 0; }
void fmi3FreeInstance(void *t) { free(t); }
/* FMPy looks for all of them as it loads the library, and calls none of them here */
NOT_HERE(fmi3ActivateModelPartition) NOT_HERE(fmi3CompletedIntegratorStep) NOT_HERE(fmi3DeserializeFMUState)
NOT_HERE(fmi3EnterConfigurationMode) NOT_HERE(fmi3EnterContinuousTimeMode) NOT_HERE(fmi3EnterEventMode)
NOT_HERE(fmi3EnterStepMode) NOT_HERE(fmi3EvaluateDiscreteStates) NOT_HERE(fmi3ExitConfigurationMode)
NOT_HERE(fmi3FreeFMUState) NOT_HERE(fmi3GetAdjointDerivative) NOT_HERE(fmi3GetBinary) NOT_HERE(fmi3GetBoolean)
NOT_HERE(fmi3GetClock) NOT_HERE(fmi3GetContinuousStateDerivatives) NOT_HERE(fmi3GetContinuousStates)
NOT_HERE(fmi3GetDirectionalDerivative) NOT_HERE(fmi3GetEventIndicators) NOT_HERE(fmi3GetFMUState)
NOT_HERE(fmi3GetFloat32) NOT_HERE(fmi3GetInt16) NOT_HERE(fmi3GetInt32) NOT_HERE(fmi3GetInt64) NOT_HERE(fmi3GetInt8)
NOT_HERE(fmi3GetIntervalDecimal) NOT_HERE(fmi3GetIntervalFraction) NOT_HERE(fmi3GetNominalsOfContinuousStates)
NOT_HERE(fmi3GetNumberOfContinuousStates) NOT_HERE(fmi3GetNumberOfEventIndicators)
NOT_HERE(fmi3GetNumberOfVariableDependencies) NOT_HERE(fmi3GetOutputDerivatives) NOT_HERE(fmi3GetShiftDecimal)
NOT_HERE(fmi3GetShiftFraction) NOT_HERE(fmi3GetString) NOT_HERE(fmi3GetUInt16) NOT_HERE(fmi3GetUInt32)
NOT_HERE(fmi3GetUInt64) NOT_HERE(fmi3GetUInt8) NOT_HERE(fmi3GetVariableDependencies) NOT_HERE(fmi3GetVersion)
NOT_HERE(fmi3InstantiateModelExchange) NOT_HERE(fmi3InstantiateScheduledExecution) NOT_HERE(fmi3Reset)
NOT_HERE(fmi3SerializeFMUState) NOT_HERE(fmi3SerializedFMUStateSize) NOT_HERE(fmi3SetBinary) NOT_HERE(fmi3SetClock)
NOT_HERE(fmi3SetContinuousStates) NOT_HERE(fmi3SetDebugLogging) NOT_HERE(fmi3SetFMUState) NOT_HERE(fmi3SetFloat32)
NOT_HERE(fmi3SetInt16) NOT_HERE(fmi3SetInt32) NOT_HERE(fmi3SetInt64) NOT_HERE(fmi3SetInt8)
NOT_HERE(fmi3SetIntervalDecimal) NOT_HERE(fmi3SetIntervalFraction) NOT_HERE(fmi3SetShiftDecimal)
NOT_HERE(fmi3SetShiftFraction) NOT_HERE(fmi3SetString) NOT_HERE(fmi3SetTime) NOT_HERE(fmi3SetUInt16)
NOT_HERE(fmi3SetUInt32) NOT_HERE(fmi3SetUInt64) NOT_HERE(fmi3SetUInt8) NOT_HERE(fmi3UpdateDiscreteStates)
#endif
