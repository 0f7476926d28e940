#include "l7/proxy_protocol.h"
