# cmake -DOUT=<file> -DDIR=<runtime> -P SourcesDigest.cmake: a C++ string literal, the digest of the sources that decide
# how packed weights lie.
file(GLOB sources RELATIVE ${DIR} ${DIR}/kernels/*.cpp ${DIR}/kernels/*.h ${DIR}/plan/*.cpp ${DIR}/plan/*.h)
list(SORT sources)
set(all "")
foreach(source IN LISTS sources)
  file(SHA256 ${DIR}/${source} digest)
  string(APPEND all "${source} ${digest}\n")
endforeach()
string(SHA256 digest "${all}")
string(SUBSTRING ${digest} 0 16 digest)
file(WRITE ${OUT} "\"${digest}\"\n")
