// Darwinkit includes this header, and needs nothing of it.
#pragma once
