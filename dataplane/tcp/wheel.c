#include "dataplane/tcp/wheel.h"
