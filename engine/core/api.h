// PLICA_API: what libplica exports. Everything else in it is hidden; public headers say
// `namespace PLICA_API plica {`.
#pragma once

#define PLICA_API [[gnu::visibility("default")]]
