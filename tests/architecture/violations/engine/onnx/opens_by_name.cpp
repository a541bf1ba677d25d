#include <fstream>

void read_external(const std::string& location) { std::ifstream in(location); }
